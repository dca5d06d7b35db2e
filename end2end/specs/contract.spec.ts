import { readFileSync } from "node:fs";

import { BROKEN_LINK } from "../support/console.ts";
import { DirectusWriter, type Key, type Row } from "../support/directus.ts";
import { badge, expect, settled, test } from "../support/fixtures.ts";
import { asTable, explore, table } from "../support/table.ts";
import type { Entry } from "../support/wire.ts";

/** `leptos-directus/tests/contract/mod.rs` says what is what. */
type Story = { promise: string; query: Row; many?: number; rows: Row[]; steps: Step[] };
// These pages run over SQLite.
type Step = { without_a_link?: boolean; writes: Write[]; shows?: Keys; shows_on_postgresql?: Keys; shows_rows?: Row[] };
type Keys = (number | [first: number, last: number])[];
type Write = { create: Row[] } | { update: Key[]; set: Row } | { delete: Key[] };

const stories = JSON.parse(
  readFileSync(new URL("../../leptos-directus/tests/contract/stories.json", import.meta.url), "utf8"),
) as Story[];

/** All that is there before. */
const rowsOf = ({ many = 0, rows }: Story): Row[] => [
  ...Array.from({ length: many }, (_, place) => ({ id: place + 1, title: `row ${place + 1}`, rank: (place + 1) * 10 })),
  ...rows,
];

/** The keys one by one, up or down. */
const spelled = (keys: Keys) =>
  keys.flatMap((key) => {
    if (typeof key === "number") return [key];
    const [first, last] = key;
    return Array.from({ length: Math.abs(last - first) + 1 }, (_, step) => (first <= last ? first + step : first - step));
  });

const collection = "contract";
const administrator = new DirectusWriter();

test.beforeAll(async () => {
  await administrator.createCollection(collection, { title: "string", rank: "integer", day: "date", flag: "boolean" });
});
test.afterAll(() => administrator.cleanUp());

for (const story of stories) {
  const { promise, query, steps } = story;
  test(`the contract: ${promise}`, async ({ page, context, wire, directus, complaints }) => {
    complaints.allow(BROKEN_LINK);
    await directus.createMany(collection, rowsOf(story));
    await page.goto(explore(collection, query));
    await settled(page);
    const since = wire.entries.length;
    if (story.many !== undefined) {
      // In the first ten seconds of a socket the window is read.
      const settledAt = Date.now();
      await expect.poll(() => Date.now() - settledAt, { timeout: 20_000 }).toBeGreaterThan(11_000);
    }
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
      expect(step.shows ?? step.shows_rows, "what the story tells").toBeDefined();
      if (step.shows) expect(rest.map(({ key }) => Number(key))).toEqual(spelled(step.shows));
      const told = asTable(step.shows_rows ?? [], "id");
      if (step.shows) expect(rest).toEqual(expect.arrayContaining(told));
      else expect(rest).toEqual(told);
      await expect(badge(page)).toContainText("Connected");
    }
    const isByKeys = (entry: Entry) => entry.kind === "request" && decodeURIComponent(entry.path).includes('"_in"');
    expect(wire.entries.slice(since).some(isByKeys), "rows are read by their keys").toBe(story.many !== undefined);
  });
}
