import type { BrowserContext, Page } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { control } from "../support/control.ts";
import type { DirectusWriter } from "../support/directus.ts";
import { users } from "../support/environment.ts";
import { type Fixtures, badge, expect, needsControl, settled, test } from "../support/fixtures.ts";
import { NOTICED, SOON, moments, now, noticed, recovery, watch } from "../support/moments.ts";
import { asTable, explore, table } from "../support/table.ts";

needsControl();

/** So many seconds a login lasts here. */
const LASTS = 15;
/** Directus counts whole seconds, and may be one early. */
const EARLY = 2_000;

/** The login in this browser ends soon; its cookie with it, or later, as where clocks differ. When, but for the second that is counted. */
async function endSoon(context: BrowserContext, cookieGoes: "with it" | "later") {
  const cookie = (await context.cookies()).find(({ name }) => name === "directus_session_token");
  if (cookie === undefined) throw new Error("nobody is logged in");
  const ends = Date.now() + LASTS * 1_000;
  const value = await control.endingLogin(cookie.value, LASTS);
  await context.addCookies([{ ...cookie, value, expires: cookieGoes === "later" ? -1 : Math.floor(ends / 1_000) }]);
  return ends;
}

/** A moment of the machine's clock in that of the page. */
const inPage = (page: Page, at: number) => page.evaluate((at) => at - performance.timeOrigin, at);
const wires = (text: string) => ({ filter: { text: { _starts_with: text } }, fields: ["code", "text"], sort: ["code"] });
const code = () => `TEST-${crypto.randomUUID().slice(0, 6)}`;
const name = (page: Page, text: string) => page.getByRole("navigation").getByRole("link", { name: text, exact: true });

/** A page of Ada's, whose login ends soon, with a row that only a login may read. */
async function opened(page: Page, context: BrowserContext, logIn: Fixtures["logIn"], directus: DirectusWriter) {
  const secret = `A secret ${crypto.randomUUID().slice(0, 8)}`;
  await directus.create("wires", { code: code(), text: secret }, "code");
  const { revoked, giveBack } = await directus.revokeFromPublic("wires", "read");
  expect(revoked).toBeGreaterThan(0);
  await logIn(context, "ada");
  const ends = await endSoon(context, "with it");
  await page.goto(explore("wires", wires(secret), "code"));
  await settled(page);
  const row = page.locator("tbody tr").filter({ hasText: secret });
  await expect(row).toHaveCount(1);
  return { secret, ends, row, giveBack };
}

test("what only a login may read leaves with it, though nobody writes, and is back with the next one", async ({
  page,
  context,
  wire,
  logIn,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  const { secret, ends, row, giveBack } = await opened(page, context, logIn, directus);
  await expect(name(page, "Ada")).toBeVisible();
  await watch(page, "tbody");
  expect(Date.now(), "this machine is too slow: the login was over before it began").toBeLessThan(ends - EARLY);

  await expect(row).toHaveCount(0, { timeout: LASTS * 1_000 + 10_000 });
  await expect(page.getByText("is not for you to see with the login you have")).toBeVisible();
  await expect(badge(page)).toContainText("Connected");
  await expect(name(page, "Log in")).toBeVisible();
  expect(wire.open).toBe(1);
  const gone = (await moments(page)).find(({ text }) => !text.includes(secret))?.at ?? NaN;
  const took = Math.round(gone - (await inPage(page, ends)));
  test.info().annotations.push({ type: "link", description: `the rows of a login left ${took} ms after its end` });
  expect(took).toBeGreaterThanOrEqual(-EARLY);
  expect(took).toBeLessThanOrEqual(NOTICED + SOON);

  await directus.create("wires", { code: code(), text: `${secret}, meanwhile` }, "code");
  await name(page, "Log in").click();
  await page.getByLabel("E-mail").fill(users.ada.email);
  await page.getByLabel("Password").fill(users.ada.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: /Ada/ })).toBeVisible();
  expect((await moments(page)).some(({ text }) => text.includes(`${secret}, meanwhile`)), "what came after the end").toBe(false);
  await page.evaluate(() => history.go(-2));
  await expect(row).toHaveCount(2);
  await directus.create("wires", { code: code(), text: `${secret}, again` }, "code");
  await expect(row).toHaveCount(3);
  await expect(badge(page)).toContainText("Connected");
  await giveBack();
});

test("where anybody may read the same nothing blanks, and nothing that is written meanwhile is missed", async ({
  page,
  context,
  wire,
  logIn,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  const tag = crypto.randomUUID().slice(0, 8);
  const query = { filter: { title: { _starts_with: tag } }, fields: ["id", "title"], sort: ["id"] };
  const write = (text: string) => directus.createPost({ title: `${tag} ${text}.` });
  await write("first");
  await logIn(context, "ada");
  const ends = await endSoon(context, "later");
  await page.goto(explore("posts", query));
  await settled(page);
  await expect.poll(() => table(page)).toHaveLength(1);
  await expect(name(page, "Ada")).toBeVisible();
  await watch(page, "tbody");
  const since = (await inPage(page, ends)) - EARLY;
  expect(await now(page), "this machine is too slow: the login was over before it began").toBeLessThan(since);

  // From before the end of the login until some time after the next socket.
  let written = 0;
  for (let afterwards = 0; afterwards < 10; written++) {
    await write(`number ${written}`);
    afterwards += Number(wire.opened > 1);
    expect(Date.now(), "a new socket").toBeLessThan(ends + 20_000);
  }
  await write("last");
  const lastly = await now(page);
  const rest = asTable(await directus.read("posts", query), "id");
  expect(rest).toHaveLength(written + 2);
  await expect.poll(() => table(page)).toEqual(rest);
  await expect(badge(page)).toContainText("Connected");
  await expect(name(page, "Log in")).toBeVisible();
  expect(wire.open).toBe(1);

  expect(await noticed(page, since, "the end of a login")).toBeLessThanOrEqual(EARLY + NOTICED);
  const isRight = (text: string) => text.includes(`${tag} last.`);
  expect(await recovery(page, since, isRight, "the end of a login", lastly)).toBeLessThanOrEqual(SOON);
  let before: string[] = [];
  for (const { text } of await moments(page)) {
    const shown = [...text.matchAll(new RegExp(`\\d+${tag} [a-z0-9 ]+\\.`, "g"))].map(([row]) => row);
    expect(shown, "the rows of before, and perhaps more").toEqual(expect.arrayContaining(before));
    before = shown;
  }
  expect(before).toHaveLength(rest.length);
});

test("a login that was renewed in another tab before it ended loses nothing with its end", async ({
  page,
  context,
  wire,
  logIn,
  directus,
}) => {
  const { secret, ends, row } = await opened(page, context, logIn, directus);
  await watch(page, "tbody");
  await logIn(context, "ada");
  expect(Date.now(), "this machine is too slow: the login was over before it was renewed").toBeLessThan(ends - EARLY);
  expect(wire.opened, "nobody knows yet").toBe(1);

  await expect.poll(() => wire.opened, { timeout: LASTS * 1_000 + 10_000 }).toBe(2);
  await expect(badge(page)).toContainText("Connected");
  await directus.create("wires", { code: code(), text: `${secret}, later` }, "code");
  await expect(row).toHaveCount(2);
  await expect(name(page, "Ada")).toBeVisible();
  expect((await moments(page)).every(({ text }) => text.includes(secret)), "the row was there all the time").toBe(true);
});
