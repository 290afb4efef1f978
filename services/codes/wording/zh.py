"""Refusals in Chinese."""

from services.codes.wording.text import Text

REFUSALS = {
    "code_not_found": Text(
        "兑换码不存在",
        "没有这个兑换码。",
        "请逐个核对字符后重试；如果仍然不行，请联系给您兑换码的人。",
    ),
    "code_inactive": Text(
        "兑换码未启用",
        "兑换码 {code} 目前未启用。",
        "请向提供者索取其他兑换码。",
    ),
    "code_not_yet_valid": Text(
        "兑换码尚未生效",
        "兑换码 {code} 自 {starts_at}起生效。",
        "请在生效之后再试。",
    ),
    "code_expired": Text(
        "兑换码已过期",
        "兑换码 {code} 的有效期截至 {ends_at}。",
        "请使用仍然有效的兑换码，或索取新的兑换码。",
    ),
    "code_used_up": Text(
        "兑换码已用完",
        "兑换码 {code} 已达到使用次数上限。",
        "请尝试其他兑换码。",
    ),
    "code_already_redeemed": Text(
        "您已使用过此兑换码",
        "您已经使用过兑换码 {code}。",
        "它不能再次使用，请尝试其他兑换码。",
    ),
    "code_not_for_you": Text(
        "此账户不能使用",
        "兑换码 {code} 不适用于此账户。",
        "请登录获得该兑换码的账户，或使用其他兑换码。",
    ),
    "below_minimum": Text(
        "订单金额不足",
        "兑换码 {code} 适用于满 {minimum} 的订单，您的订单金额为 {sum}。",
        "请再增加 {missing} 的消费，或不使用兑换码付款。",
    ),
    "wrong_currency": Text(
        "币种不符",
        "兑换码 {code} 仅适用于以 {currency} 支付的订单。",
        "请改用该币种付款，或不使用兑换码继续。",
    ),
    "wrong_service": Text(
        "不适用于此服务",
        "兑换码 {code} 仅适用于“{service}”服务。",
        "请在该服务中使用，或不使用兑换码继续。",
    ),
    "codes_do_not_stack": Text(
        "兑换码不能叠加",
        "兑换码 {code} 不能与此订单已使用的兑换码同时使用。",
        "请先从订单中移除另一个兑换码，或只使用那一个继续。",
    ),
    "above_balance": Text(
        "超出兑换码余额",
        "兑换码 {code} 的余额为 {balance}。",
        "请兑换不超过该余额的数量。",
    ),
    "budget_spent": Text(
        "优惠已发放完毕",
        "兑换码 {code} 所属的优惠已发放完毕。",
        "请尝试其他兑换码，或咨询当前优惠。",
    ),
    "locked_out": Text(
        "错误的兑换码过多",
        "输入的错误兑换码过多，暂时不接受任何兑换码。",
        "请在 {wait}后重试。",
    ),
}
