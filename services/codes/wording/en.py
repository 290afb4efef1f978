"""Refusals in English."""

from services.codes.wording.text import Text

REFUSALS = {
    "code_not_found": Text(
        "Code not found",
        "There is no such code.",
        "Check every character and try again. If that does not help, ask whoever gave you the code.",
    ),
    "code_inactive": Text(
        "Code not active",
        "The code {code} is not active at present.",
        "Ask whoever gave you the code for another one.",
    ),
    "code_not_yet_valid": Text(
        "Code not valid yet",
        "The code {code} is valid from {starts_at}.",
        "Try again after that time.",
    ),
    "code_expired": Text(
        "Code expired",
        "The code {code} was valid until {ends_at}.",
        "Use a code that is still valid, or ask for a new one.",
    ),
    "code_used_up": Text(
        "Code used up",
        "The code {code} has reached its maximum number of uses.",
        "Try another code.",
    ),
    "code_already_redeemed": Text(
        "You have used this code",
        "You have already used the code {code}.",
        "It will not work a second time; try another code.",
    ),
    "code_not_for_you": Text(
        "Not for this account",
        "The code {code} is not meant for this account.",
        "Sign in with the account that the code was given to, or use another code.",
    ),
    "below_minimum": Text(
        "Order too small",
        "The code {code} applies to orders of {minimum} or more; yours comes to {sum}.",
        "Add {missing} to your order, or pay without the code.",
    ),
    "wrong_currency": Text(
        "Not in this currency",
        "The code {code} applies to payments in {currency} only.",
        "Pay in that currency, or go on without the code.",
    ),
    "wrong_service": Text(
        "Not for this service",
        "The code {code} applies to {service} only.",
        "Use it there, or go on without it.",
    ),
    "codes_do_not_stack": Text(
        "Codes do not go together",
        "The code {code} cannot be combined with the code that this order has already.",
        "Take the other code out of your order first, or go on with it alone.",
    ),
    "above_balance": Text(
        "More than is left on the code",
        "There are {balance} credits left on the code {code}.",
        "Redeem that much or less.",
    ),
    "budget_spent": Text(
        "Offer used up",
        "Everything that the offer behind the code {code} had to give is gone.",
        "Try another code, or ask about current offers.",
    ),
    "locked_out": Text(
        "Too many wrong codes",
        "Too many wrong codes were entered, so no code is accepted for now.",
        "Try again in {wait}.",
    ),
}
