import { readFileSync } from "node:fs";

import { BROKEN_LINK } from "../support/console.ts";
import { DirectusWriter, type Key, type Row } from "../support/directus.ts";
import { badge, expect, settled, test } from "../support/fixtures.ts";
import { asTable, explore, table } from "../support/table.ts";

/** `leptos-directus/tests/contract/mod.rs` says what is what. */
type Story = { promise: string; query: Row; rows: Row[]; steps: Step[] };
// These pages run over SQLite.
type Step = { without_a_link?: boolean; writes: Write[]; shows: number[]; shows_on_postgresql?: number[] };
type Write = { create: Row[] } | { update: Key[]; set: Row } | { delete: Key[] };

const stories = JSON.parse(
  readFileSync(new URL("../../leptos-directus/tests/contract/stories.json", import.meta.url), "utf8"),
) as Story[];

const collection = "contract";
const administrator = new DirectusWriter();

test.beforeAll(async () => {
  await administrator.createCollection(collection, { title: "string", rank: "integer", day: "date", flag: "boolean" });
});
test.afterAll(() => administrator.cleanUp());

for (const { promise, query, rows, steps } of stories) {
  test(`the contract: ${promise}`, async ({ page, context, directus, complaints }) => {
    complaints.allow(BROKEN_LINK);
    await directus.createMany(collection, rows);
    await page.goto(explore(collection, query));
    await settled(page);
    for (const step of steps) {
      if (step.without_a_link) {
        await context.setOffline(true);
        await expect(badge(page)).toContainText("Reconnecting");
      }
      for (const write of step.writes) {
        if ("create" in write) await directus.createMany(collection, write.create);
        else if ("update" in write) await directus.updateMany(collection, write.update, write.set);
        else await directus.deleteMany(collection, write.delete);
      }
      if (step.without_a_link) await context.setOffline(false);
      const rest = asTable(await directus.read(collection, query), "id");
      await expect.poll(() => table(page)).toEqual(rest);
      expect(rest.map(({ key }) => Number(key))).toEqual(step.shows);
      await expect(badge(page)).toContainText("Connected");
    }
  });
}
