import type { DirectusWriter } from "../support/directus.ts";
import { expect, settled, test } from "../support/fixtures.ts";
import { asTable, explore, table } from "../support/table.ts";

const AWKWARD: { name: string; collection: string; keyField?: string; query: Record<string, unknown> }[] = [
  {
    name: "text order with a limit",
    collection: "posts",
    query: { fields: ["id", "title", "status"], sort: ["title"], limit: 7 },
  },
  {
    name: "_or over a relation, with ties and nulls in the sort",
    collection: "posts",
    query: {
      fields: ["id", "title", "views", "published_at", "author.name"],
      filter: { _or: [{ status: { _eq: "draft" } }, { author: { name: { _contains: "a" } } }, { views: { _gt: 10 } }] },
      sort: ["-published_at", "-views"],
    },
  },
  {
    name: "a window in the middle",
    collection: "posts",
    query: { fields: ["id", "title", "published_at"], sort: ["published_at", "-title"], offset: 2, limit: 5 },
  },
  {
    name: "all rows, without a sort, JSON and many-to-many inside",
    collection: "posts",
    query: { fields: ["id", "title", "tags", "topics.topics_id.name"], filter: { title: { _icontains: "e" } } },
  },
  {
    name: "another key than id, text keys, relative time",
    collection: "wires",
    keyField: "code",
    query: { fields: ["code", "text", "priority"], filter: { priority: { _gte: 1 } }, sort: ["-priority"], limit: 6 },
  },
];

/** Random writes from several connections at once: what a busy newsroom does. */
async function write(directus: DirectusWriter, rounds: number) {
  const words = ["apple", "Åland", "zebra", "Éclair", "echo", "ECHO", "10", "9", "_", "émile"];
  const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;
  const authors = (await directus.read("authors", { fields: ["id"] })).map((author) => author.id);
  const writer = async () => {
    const own: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const values = {
        title: `${pick(words)} ${Math.floor(Math.random() * 5)}`,
        status: pick(["draft", "review", "published"]),
        views: pick([0, 5, 50]),
        author: pick([null, ...authors]),
        published_at: pick([null, "2026-11-24T07:15:00Z", "2025-01-01T00:00:00Z"]),
        tags: pick([null, [], ["a", "b"]]),
      };
      const known = pick(own.length > 2 ? own : [undefined]);
      if (known === undefined) own.push((await directus.create<{ id: number }>("posts", values)).id);
      else if (Math.random() < 0.25) await directus.delete("posts", own.splice(own.indexOf(known), 1)[0] as number);
      else await directus.update("posts", known, values);
    }
  };
  const wires = async () => {
    for (let round = 0; round < rounds; round++) {
      const code = `TEST-${crypto.randomUUID().slice(0, 6)}`;
      await directus.create("wires", { code, text: pick(words), priority: pick([1, 2, 3]) }, "code");
      if (Math.random() < 0.5) await directus.update("wires", code, { priority: pick([0, 1, 9]) });
    }
  };
  await Promise.all([writer(), writer(), writer(), wires()]);
}

for (const { name, collection, keyField = "id", query } of AWKWARD) {
  test(`the table equals REST while others write: ${name}`, async ({ page, directus }) => {
    await page.goto(explore(collection, query, keyField));
    await settled(page);
    for (let pause = 0; pause < 3; pause++) {
      await write(directus, 4);
      const rows = asTable(await directus.read(collection, query, keyField), keyField);
      await expect.poll(() => table(page), { timeout: 5_000 }).toEqual(rows);
    }
    expect((await table(page)).length).toBeGreaterThan(0);
  });
}

test("the table is in the HTML, and the address holds the query", async ({ request, directus }) => {
  const post = await directus.createPost();
  const html = await (await request.get(explore("posts", { filter: { id: { _eq: post.id } }, fields: ["id", "title"] }))).text();
  expect(html).toContain(`data-key="${post.id}"`);
  expect(html).toContain(post.title);
});

test("another query is another table, without a new page", async ({ page, wire, directus }) => {
  const post = await directus.createPost();
  await page.goto(explore("posts", { fields: ["id"], limit: 1 }));
  await settled(page);
  await page.evaluate(() => Object.assign(window, { samePage: true }));
  await page.getByLabel("Query (JSON)").fill(JSON.stringify({ filter: { id: { _eq: post.id } }, fields: ["id", "title"] }));
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page.locator(`tr[data-key="${post.id}"] td[data-field="title"]`)).toHaveText(post.title);
  await expect(page).toHaveURL(new RegExp(`collection=posts&query=.*${post.id}`));
  await page.getByLabel("Collection").fill("authors");
  await page.getByLabel("Query (JSON)").fill('{"fields":["id","name"],"sort":["name"]}');
  await page.getByRole("button", { name: "Show" }).click();
  const authors = await directus.read("authors", { fields: ["id", "name"], sort: ["name"] });
  await expect.poll(() => table(page)).toEqual(asTable(authors, "id"));
  await page.goBack();
  await expect(page.locator(`tr[data-key="${post.id}"]`)).toBeVisible();
  expect(await page.evaluate(() => "samePage" in window)).toBe(true);
  expect(wire.opened).toBe(1);
});

test("what is wrong with a query is said, and nothing breaks", async ({ page, complaints }) => {
  complaints.allow(/Failed to load resource: the server responded with a status of 40[03]/);
  await page.goto(explore("posts", "{not json"));
  await expect(page.getByText("The query is not JSON")).toBeVisible();
  await page.goto(explore("posts", { fields: ["id", "no_such_field"] }));
  await expect(page.getByText("FORBIDDEN")).toBeVisible();
  await page.goto(explore("no_such_collection", {}));
  await expect(page.getByText("FORBIDDEN")).toBeVisible();
  await page.goto(explore("posts", { fields: ["id", "title"], limit: 2 }));
  await expect(page.locator("tbody tr")).toHaveCount(2);
});
