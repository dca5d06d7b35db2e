import type { Page } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { balance, watchBegun } from "../support/cost.ts";
import type { DirectusWriter } from "../support/directus.ts";
import { badge, expect, settled, test } from "../support/fixtures.ts";
import { Frame } from "../support/frame.ts";
import type { Gateway } from "../support/gateway.ts";
import { NOTICED, SOON, expectNotLive, firsts, moments, noticed, now, recovery, watch } from "../support/moments.ts";
import { explore, table } from "../support/table.ts";
import type { Wire } from "../support/wire.ts";

/** A page with a few rows of its own, in the order of their titles, opened over the gateway. */
async function opened(page: Page, wire: Wire, gateway: Gateway, directus: DirectusWriter) {
  const begun = await watchBegun(page);
  gateway.letUpgrade();
  const tag = crypto.randomUUID().slice(0, 8);
  const titled = (text: string) => `${tag} ${text}`;
  const rows = await directus.createMany<{ id: number }>(
    "posts",
    ["b", "d", "f"].map((text) => ({ title: titled(text), status: "published" })),
  );
  const query = { filter: { title: { _starts_with: tag } }, sort: ["title"], fields: ["id", "title"], limit: 4 };
  await page.goto(gateway.url + explore("posts", query));
  await settled(page);
  const shows = async (...texts: string[]) => {
    const shown = async () => (await table(page)).map(({ cells }) => cells.title);
    await expect.poll(shown, { timeout: 40_000 }).toEqual(texts.map(titled));
  };
  await shows("b", "d", "f");
  await watch(page, "tbody");
  const isAsBefore = await balance(page, wire, begun);
  return { tag, ids: rows.map(({ id }) => id), titled, shows, isAsBefore };
}

/** What the page says to the console of frames that it passes over. */
const PASSED_OVER = /Directus sent |a frame of Directus was skipped/;

/** Nothing was ever blank, no row was there twice at once, and none had a title again that it had before another one. */
async function expectNoBlankNoDoubleNoWayBack(page: Page, tag: string) {
  const had = new Map<string, string[]>();
  for (const { text } of await moments(page)) {
    const rows = [...text.matchAll(new RegExp(`(\\d+)(?:not )?${tag} (.)`, "g"))];
    expect(rows.length, "no blank").toBeGreaterThan(0);
    const ids = rows.map(([, id]) => id);
    expect(ids, "no double").toEqual([...new Set(ids)]);
    for (const [, id, title] of rows as unknown as [string, string, string][]) {
      const titles = had.get(id) ?? [];
      if (titles.at(-1) !== title) had.set(id, [...titles, title]);
    }
  }
  for (const titles of had.values()) expect(titles, "no old state after a newer one").toEqual([...new Set(titles)]);
}

test("frames that come twice change nothing", async ({ page, wire, gateway, directus }) => {
  let twice = 0;
  gateway.meddle((frame) => {
    if (!frame.isText) return [frame];
    twice += 1;
    return [frame, frame];
  });
  const { tag, ids, titled, shows, isAsBefore } = await opened(page, wire, gateway, directus);
  const [first, second] = ids as [number, number];
  await directus.update("posts", first, { title: titled("e") });
  await shows("d", "e", "f");
  const created = await directus.createPost({ title: titled("a") });
  await shows("a", "d", "e", "f");
  await directus.createPost({ title: titled("c") });
  await shows("a", "c", "d", "e");
  await directus.delete("posts", created.id);
  await shows("c", "d", "e", "f");
  await directus.update("posts", second, { title: `not ${titled("d")}` });
  await shows("c", "e", "f");
  expect(twice).toBeGreaterThan(0);
  expect(gateway.opened, "nothing of that is worth a new socket").toBe(1);
  await expectNoBlankNoDoubleNoWayBack(page, tag);
  await isAsBefore("frames twice");
});

test("what Directus may say in years to come, and what is no frame of it, is passed over", async ({
  page,
  wire,
  gateway,
  directus,
  complaints,
}) => {
  complaints.allow(PASSED_OVER);
  const { tag, ids, titled, shows, isAsBefore } = await opened(page, wire, gateway, directus);
  for (const text of [
    '{"type":"surprise","data":{"id":1}}',
    '{"type":"subscription","event":"archive","data":[1],"uid":"posts:update#2"}',
    `{"type":"subscription","event":"delete","data":["${ids[0]}"],"uid":"nobody's"}`,
    '{"no":"type"}',
    "[]",
    "not JSON",
    "",
  ]) {
    gateway.say(Frame.text(text));
  }
  const heard = page.waitForEvent("console", (message) => message.text().includes("it is not text"));
  gateway.say(Frame.binary(Buffer.of(0xff, 0x00)));
  await heard;
  await directus.update("posts", ids[0] as number, { title: titled("g") });
  await shows("d", "f", "g");
  await expect(badge(page)).toContainText("Connected");
  expect(gateway.opened, "nothing of that is worth a new socket").toBe(1);
  await expectNoBlankNoDoubleNoWayBack(page, tag);
  await isAsBefore("unknown frames");
});

test("a message of 70 MB is passed over, too", async ({ page, wire, gateway, directus, complaints }) => {
  complaints.allow(PASSED_OVER);
  // What watches the page hears all of it, too.
  test.setTimeout(120_000);
  const { tag, ids, titled, shows, isAsBefore } = await opened(page, wire, gateway, directus);
  const long = Frame.text(`{"type":"subscription","event":"update","data":["${"x".repeat(70 << 20)}"],"uid":"nobody's"}`);
  for (const letter of ["g", "h"]) {
    gateway.say(long);
    await directus.update("posts", ids[0] as number, { title: titled(letter) });
    await shows("d", "f", letter);
    // It is copied twice, wasm gives no memory back, and the next one is put where the last one was.
    await isAsBefore(`a message of 70 MB, ${letter}`, { wasm_mb: 2 * 70 + 16 });
  }
  expect(gateway.opened, "nothing of that is worth a new socket").toBe(1);
  await expectNoBlankNoDoubleNoWayBack(page, tag);
});

test("text that is no UTF-8 costs the socket and nothing else", async ({ page, wire, gateway, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const { tag, ids, titled, shows, isAsBefore } = await opened(page, wire, gateway, directus);
  const since = await now(page);
  gateway.say(Frame.text(Buffer.of(0xff, 0xfe)));
  await expect.poll(() => gateway.opened, { timeout: 40_000 }).toBe(2);
  await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
  await directus.update("posts", ids[0] as number, { title: titled("g") });
  const written = await now(page);
  await shows("d", "f", "g");
  expect(await noticed(page, since, "no UTF-8")).toBeLessThanOrEqual(NOTICED);
  expect(await recovery(page, since, (text) => text.includes(titled("g")), "no UTF-8", written)).toBeLessThanOrEqual(SOON);
  await expectNoBlankNoDoubleNoWayBack(page, tag);
  await isAsBefore("no UTF-8");
});

test("a server that never says that a subscription has begun is tried again, and the page is right once it does", async ({
  page,
  wire,
  gateway,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  test.setTimeout(120_000);
  const { tag, ids, titled, shows, isAsBefore } = await opened(page, wire, gateway, directus);
  // By the number of the socket.
  const swallowed: number[] = [];
  gateway.meddle((frame) => {
    const isInit = frame.isText && frame.payload.includes('"event":"init"');
    if (isInit) swallowed[gateway.opened] = (swallowed[gateway.opened] ?? 0) + 1;
    return isInit ? [] : [frame];
  });
  const subscriptions = wire.alive.length;
  const since = await now(page);
  gateway.cut();
  await expect.poll(() => gateway.opened, { timeout: 60_000 }).toBeGreaterThan(2);
  const took = await noticed(page, since, "no init");
  expect(took).toBeLessThanOrEqual(NOTICED);
  // By a read: events of it there are none.
  await directus.update("posts", ids[0] as number, { title: titled("e") });
  // A socket that has heard none of them is given up.
  await expect.poll(() => swallowed[gateway.opened], { timeout: 60_000 }).toBe(subscriptions);
  await expectNotLive(page, since + took, await now(page));
  gateway.meddle((frame) => [frame]);
  const healed = await now(page);
  await directus.update("posts", ids[0] as number, { title: titled("g") });
  const written = await now(page);
  await shows("d", "f", "g");
  const connected = async () => (await firsts(page, healed, () => false)).connected;
  await expect.poll(connected, { timeout: 60_000 }).toBeGreaterThan(healed);
  await expect(badge(page)).toContainText("Connected");
  expect(await recovery(page, healed, (text) => text.includes(titled("g")), "no init", written)).toBeLessThanOrEqual(SOON);
  // It is empty then.
  await expect(page.locator('[data-live="live"]')).toHaveCount(1);
  await directus.update("posts", ids[0] as number, { title: titled("h") });
  await shows("d", "f", "h");
  await expectNoBlankNoDoubleNoWayBack(page, tag);
  await isAsBefore("no init");
});
