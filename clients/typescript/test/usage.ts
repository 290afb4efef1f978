/** What must type-check, and what must not. */

import { Client, InsufficientCredits } from "../index.js";

const client = new Client({ token: async () => "…" });

export async function uses(): Promise<string> {
  await client.grant({ user: "ada", amount: "10", source: "promo" }, { idempotencyKey: "welcome" });
  // @ts-expect-error: a charge is somebody's
  await client.charge({ amount: "1" });
  // @ts-expect-error: there is no such field
  await client.charge({ user: "ada", amount: "1", colour: "red" });
  const words: number = await client.hold("ada", "5", async (hold) => {
    await hold.capture("3");
    return 7;
  });
  await using hold = await client.hold("ada", { model: "acme/small", usage: { input: 7, output: 100 } }, { ttl_s: 60 });
  await hold.capture({ usage: { input: 7, output: words } });
  for await (const state of client.changes({ user: "ada" })) {
    const available: string = state.available;
    return available;
  }
  try {
    return (await client.charge({ user: "ada", amount: 1 })).available;
  } catch (error) {
    if (error instanceof InsufficientCredits) return error.required;
    throw error;
  }
}
