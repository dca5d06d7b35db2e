import type { Page, Request } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { balance, watchBegun } from "../support/cost.ts";
import type { DirectusWriter } from "../support/directus.ts";
import { badge, countdown, expect, needsControl, settled, test } from "../support/fixtures.ts";
import type { Link } from "../support/link.ts";
import { NOTICED, SOON, firsts, moments, note, noticed, now, reconnected, recovery, watch } from "../support/moments.ts";
import { explore } from "../support/table.ts";
import { lookAt, setVisibility } from "../support/visibility.ts";
import type { Wire } from "../support/wire.ts";

test.describe.configure({ timeout: 120_000 });
needsControl();

/** By then, where nobody says so: packets vanish. */
const NOTICED_SILENCE = 20_000;
/** What a read costs that the browser sends over a connection of which it does not know that it is dead. */
const DEAD_READ = 2_500;
/** So many such connections a browser keeps at most. */
const DEAD_READS = 6;

type Row = Awaited<ReturnType<typeof opened>>;

/** All that was shown: the row once, each of these titles at most once, in this order, and nothing else in between. */
async function expectInOrder(page: Page, row: Row, titles: string[]) {
  const shown = (await moments(page)).map(({ text }) => text);
  const changes = shown.filter((text, place) => text !== shown[place - 1]);
  const expected = titles.map(row.asShown).filter((text) => changes.includes(text));
  expect(changes, "no blank, no double, and no old state after a newer one").toEqual(expected);
}

/** From now on: how many reads of posts the browser gives up, because nothing comes over their connections. */
function deadReads(page: Page) {
  const reads = new Set<Request>();
  let dead = 0;
  page.on("request", (request) => {
    if (new URL(request.url()).pathname.startsWith("/directus/items/posts")) reads.add(request);
  });
  page.on("requestfailed", (request) => {
    if (reads.has(request)) dead += 1;
  });
  return () => dead;
}

/** Right within 2 s of the next socket, but for what the browser's dead connections cost. */
async function expectRightSoon(page: Page, healed: number, row: Row, title: string, what: string, dead: number) {
  const took = await recovery(page, healed, (text) => text === row.asShown(title), `${what}, and ${dead} reads over dead connections`);
  expect(dead).toBeLessThanOrEqual(DEAD_READS);
  expect(took).toBeLessThanOrEqual(SOON + dead * DEAD_READ);
}

/** The link is good again, and the page is right soon. From here on the page's time goes as everybody's: what is measured is true. */
async function heals(page: Page, link: Link, row: Row, title: string, what: string) {
  const dead = deadReads(page);
  const healed = await now(page);
  await link.pass();
  // The try that is under way is lost, and takes its 15 s to notice.
  await expect(badge(page)).toContainText("Connected", { timeout: 60_000 });
  await expect(row.title).toHaveText(title, { timeout: 40_000 });
  await expectRightSoon(page, healed, row, title, what, dead());
}

/** A page with one row, opened over the link. */
async function opened(page: Page, wire: Wire, link: Link, directus: DirectusWriter) {
  const begun = await watchBegun(page);
  const post = await directus.createPost();
  await page.goto(link.url + explore("posts", { filter: { id: { _eq: post.id } }, fields: ["id", "title"] }));
  await settled(page);
  const title = page.locator(`tr[data-key="${post.id}"] td[data-field="title"]`);
  await expect(title).toHaveText(post.title);
  // All that the list shows: the row's key and title, if it is there once.
  await watch(page, "tbody");
  const asShown = (title: string) => post.id + title;
  expect((await moments(page)).map(({ text }) => text)).toEqual([asShown(post.title)]);
  return {
    asShown,
    title,
    first: post.title,
    isAsBefore: await balance(page, wire, begun),
    rename: (title: string) => directus.update("posts", post.id, { title }),
  };
}

for (const { name, spoil, cause } of [
  { name: "cut at once, again and again", spoil: (link: Link) => link.cutAfter(0) },
  // An event is longer, and so is the answer to an upgrade.
  { name: "cut in the middle of an event", spoil: (link: Link) => link.cutAfter(40) },
  { name: "refused", spoil: (link: Link) => link.refuse() },
  {
    name: "answered with 502 by a proxy on the way",
    spoil: (link: Link) => link.badGateway(),
    cause: "The WebSocket was refused with status 502.",
  },
]) {
  test(`a link that is ${name} is told within 5 s, and the page is right within 2 s of the next socket`, async ({
    page,
    wire,
    link,
    directus,
    complaints,
  }) => {
    complaints.allow(BROKEN_LINK);
    const row = await opened(page, wire, link, directus);
    const missed = `${row.first}, meanwhile`;
    const since = await now(page);
    await spoil(link);
    await row.rename(missed);
    await expect(badge(page)).toContainText("Reconnecting");
    expect(await noticed(page, since, name)).toBeLessThanOrEqual(NOTICED);
    await expect(page.getByText("Connection lost.")).toBeVisible();
    if (cause !== undefined) await expect(page.getByText(cause)).toBeVisible();
    await expect(row.title).toHaveText(row.first);

    const healed = await now(page);
    await link.pass();
    await expect(row.title).toHaveText(missed, { timeout: 40_000 });
    // The rows may be read before the socket's next try.
    await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
    expect(await recovery(page, healed, (text) => text === row.asShown(missed), name)).toBeLessThanOrEqual(SOON);
    const live = `${row.first}, live`;
    await row.rename(live);
    await expect(row.title).toHaveText(live);
    await expectInOrder(page, row, [row.first, missed, live]);
    await row.isAsBefore(name);
  });
}

test("a link that is cut for a moment, three times, is made good each time, and nothing of it is kept", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  const row = await opened(page, wire, link, directus);
  for (const round of [1, 2, 3]) {
    const title = `${row.first}, ${round}`;
    const since = await now(page);
    const renamed = row.rename(title);
    await link.cut();
    await renamed;
    const written = await now(page);
    await expect(row.title).toHaveText(title, { timeout: 40_000 });
    const said = async () => (await moments(page)).flatMap(({ at, status }) => (at >= since ? [status] : [])).join(" ");
    await expect.poll(said, { timeout: 40_000 }).toMatch(/reconnecting .*\bconnected$/);
    expect(await noticed(page, since, `cut ${round}`)).toBeLessThanOrEqual(NOTICED);
    expect(await recovery(page, since, (text) => text === row.asShown(title), `cut ${round}`, written)).toBeLessThanOrEqual(SOON);
  }
  await expectInOrder(page, row, [row.first, ...[1, 2, 3].map((round) => `${row.first}, ${round}`)]);
  expect(wire.opened, "one socket more for each cut, at least").toBeGreaterThanOrEqual(4);
  await row.isAsBefore("cut three times");
});

/** No event is shorter. */
const EVENT = 75;
/** No socket hears less at first: the answer to its upgrade, and an acknowledgement for each of three subscriptions. */
const WELCOME = 345;
/** The bytes in between are as these are. */
const STEP = 6;

test("a link that is cut at any byte of an event, and at any byte of what each new socket hears first, is made good each time", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  test.setTimeout(240_000);
  const row = await opened(page, wire, link, directus);
  const titles = [row.first];
  const worst = { noticed: 0, right: 0 };
  for (let bytes = 0; bytes < WELCOME; bytes += STEP) {
    const title = `${row.first}, ${bytes}`;
    titles.push(title);
    const [tries, since] = [wire.opened, await now(page)];
    await link.cutAfter(bytes);
    await row.rename(title);
    if (bytes >= EVENT) await link.cut();
    const ended = () => wire.opened - wire.open;
    await expect.poll(ended, { message: "a try that is cut, too", intervals: [20] }).toBeGreaterThan(tries);
    await link.pass();
    const healed = await now(page);
    // One that opened before is not the next one.
    await link.cut();
    await lookAt(page);
    const made = () => firsts(page, healed, (text) => text === row.asShown(title));
    const done = async () => {
      const { right, connected } = await made();
      return Math.min(right, connected);
    };
    await expect.poll(done, { message: "right, and on a new socket", intervals: [20] }).toBeGreaterThan(since);
    const { right, connected } = await made();
    const { lost } = await firsts(page, since, () => false);
    worst.noticed = Math.max(worst.noticed, lost - since);
    worst.right = Math.max(worst.right, right - connected);
  }
  const { noticed: late, right } = worst;
  note(`cut at any byte: at worst noticed after ${Math.round(late)} ms, and right ${Math.round(right)} ms after the socket opened`);
  expect(late).toBeLessThanOrEqual(NOTICED);
  expect(right).toBeLessThanOrEqual(SOON);
  await expectInOrder(page, row, titles);
  await row.isAsBefore("cut at any byte");
});

test("a link that falls silent is found dead within 20 s, and the page is right soon after the next socket", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const row = await opened(page, wire, link, directus);
  const missed = `${row.first}, meanwhile`;
  const since = await now(page);
  await link.halfOpen();
  await row.rename(missed);
  // First it is asked whether anybody is there, then nobody has answered: each at its own time.
  await page.clock.runFor(NOTICED_SILENCE);
  await expect(badge(page)).toContainText("Reconnecting");
  expect(await noticed(page, since, "silent")).toBeLessThanOrEqual(NOTICED_SILENCE);
  await expect(row.title).toHaveText(row.first);

  await heals(page, link, row, missed, "silent");
  const live = `${row.first}, live`;
  await row.rename(live);
  await expect(row.title).toHaveText(live);
  await expectInOrder(page, row, [row.first, missed, live]);
  await row.isAsBefore("silent", { unheard: 1 });
});

test("a tab that is seen after hours finds out at once that its link died meanwhile", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const row = await opened(page, wire, link, directus);
  const missed = `${row.first}, meanwhile`;
  // From here on the page's time goes by only where the test turns it.
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 10_000));
  await setVisibility(page, "hidden");
  // What was due by then is done, and answered.
  const due = page.waitForResponse((response) => new URL(response.url()).pathname.startsWith("/directus/items/posts"));
  await page.clock.fastForward("03:00:00");
  await due;
  await link.halfOpen();
  await row.rename(missed);
  const since = await now(page);
  await setVisibility(page, "visible");
  // By itself it would be asked in ten seconds whether anybody is there, and in twenty nobody would have answered.
  await page.clock.runFor(NOTICED);
  await expect(badge(page)).toContainText("Reconnecting");
  expect(await noticed(page, since, "hidden for hours")).toBeLessThanOrEqual(NOTICED);
  await expect(row.title).toHaveText(row.first);

  const dead = deadReads(page);
  const healed = await now(page);
  await link.pass();
  await page.clock.resume();
  await expect(row.title).toHaveText(missed, { timeout: 60_000 });
  await expect(badge(page)).toContainText("Connected", { timeout: 60_000 });
  await expectRightSoon(page, healed, row, missed, "hidden for hours", dead());
  await expectInOrder(page, row, [row.first, missed]);
  await row.isAsBefore("hidden for hours", { unheard: 1 });
});

test("a machine that slept while its link died finds out by itself, though nobody says that it woke", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const row = await opened(page, wire, link, directus);
  const missed = `${row.first}, meanwhile`;
  await link.halfOpen();
  await row.rename(missed);
  // Timers do not run while it sleeps; those that were due run once.
  await page.clock.fastForward("08:00:00");
  const woke = await now(page);
  await expect(badge(page)).toContainText("Reconnecting", { timeout: NOTICED_SILENCE });
  expect(await noticed(page, woke, "slept")).toBeLessThanOrEqual(NOTICED_SILENCE);
  await expect(row.title).toHaveText(row.first);

  await heals(page, link, row, missed, "slept");
  await expectInOrder(page, row, [row.first, missed]);
  await row.isAsBefore("slept", { unheard: 1 });
});

/** In how many seconds the page tries by itself, as it says. */
async function secondsLeft(page: Page) {
  return Number(/in (\d+) s/.exec((await countdown(page).textContent()) ?? "")?.[1] ?? 0);
}

/** By itself the page would try in so many seconds, and not at once. */
const FAR = 5;
/** A try is made and has come through, on a machine with much to do. */
const AT_ONCE = 1_000;

for (const { name, prepare, wake } of [
  {
    name: "the browser says that there is a network",
    prepare: (page: Page) => page.context().setOffline(true),
    wake: (page: Page) => page.context().setOffline(false),
  },
  { name: "somebody looks at the page", wake: lookAt },
  { name: "somebody asks for it", wake: (page: Page) => page.getByRole("button", { name: "Try now" }).click() },
]) {
  test(`after a minute of refusals there is a try at once when ${name}`, async ({ page, wire, link, directus, complaints }) => {
    complaints.allow(BROKEN_LINK);
    await page.clock.install();
    const row = await opened(page, wire, link, directus);
    const missed = `${row.first}, meanwhile`;
    // From here on the page's time goes by only where the test turns it.
    await page.clock.pauseAt(await page.evaluate(() => Date.now() + 10_000));
    await link.refuse();
    await row.rename(missed);
    await expect(badge(page)).toContainText("Reconnecting");
    for (let second = 0; second < 60 || (await secondsLeft(page)) < FAR; second++) await page.clock.runFor(1_000);
    await prepare?.(page);
    await link.pass();
    await expect(row.title).toHaveText(row.first);
    await expect(badge(page)).toContainText("Reconnecting");
    await wake(page);
    // Though no time goes by for the page.
    await expect(badge(page)).toContainText("Connected", { timeout: SOON });
    await expect(row.title).toHaveText(missed, { timeout: SOON });
    await page.clock.resume();
    await expectInOrder(page, row, [row.first, missed]);
    await row.isAsBefore(name);
  });
}

test("a link that is refused for a minute by everybody's clock is said to be lost all the time, and good at once for who asks", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  test.setTimeout(180_000);
  const row = await opened(page, wire, link, directus);
  const missed = `${row.first}, meanwhile`;
  const since = await now(page);
  await link.refuse();
  await row.rename(missed);
  await expect.poll(() => now(page), { timeout: 70_000 }).toBeGreaterThanOrEqual(since + 60_000);
  await expect.poll(() => secondsLeft(page), { timeout: 60_000 }).toBeGreaterThanOrEqual(FAR);
  expect(await noticed(page, since, "refused for a minute")).toBeLessThanOrEqual(NOTICED);
  const said = (await moments(page)).map(({ status }) => status);
  expect(new Set(said.slice(said.indexOf("reconnecting")))).toEqual(new Set(["reconnecting"]));
  await expect(row.title).toHaveText(row.first);

  await link.pass();
  const clicked = page.evaluate(
    () => new Promise<number>((resolve) => addEventListener("click", () => resolve(performance.now()), { once: true, capture: true })),
  );
  await page.getByRole("button", { name: "Try now" }).click();
  const asked = await clicked;
  await expect(badge(page)).toContainText("Connected");
  await expect(row.title).toHaveText(missed);
  expect(await reconnected(page, asked, "refused for a minute")).toBeLessThanOrEqual(AT_ONCE);
  expect(await recovery(page, asked, (text) => text === row.asShown(missed), "refused for a minute")).toBeLessThanOrEqual(SOON);
  await expectInOrder(page, row, [row.first, missed]);
  await row.isAsBefore("refused for a minute");
});

test("a slow link is not taken for dead, and the page is right as soon as it is quick", async ({
  page,
  wire,
  link,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  const row = await opened(page, wire, link, directus);
  await link.slow(1_000);
  const titles = [row.first];
  const since = await now(page);
  // Longer than a silent link takes to be found dead.
  do {
    const title = `${row.first}, slowly, ${titles.length}`;
    titles.push(title);
    await row.rename(title);
    await expect(row.title).toHaveText(title, { timeout: 40_000 });
  } while ((await now(page)) < since + NOTICED_SILENCE + NOTICED);

  // The event alone takes seconds, and asking for the row many more.
  await link.slow(50);
  const title = `${row.first}, quickly`;
  await row.rename(title);
  const healed = await now(page);
  await link.pass();
  await expect(row.title).toHaveText(title);
  const all = await moments(page);
  const took = Math.round((all.find(({ text }) => text === row.asShown(title))?.at ?? NaN) - healed);
  test.info().annotations.push({ type: "link", description: `slow: right ${took} ms after it was quick again` });
  await expectInOrder(page, row, [...titles, title]);
  expect(took, "it was slow until then").toBeGreaterThan(0);
  expect(took).toBeLessThanOrEqual(SOON);
  expect(new Set(all.map(({ status }) => status))).toEqual(new Set(["connected"]));
  await row.isAsBefore("slow");
});

for (const { name, spoil, late } of [
  // The event, the question for the row and its answer: three times the least.
  { name: "comes late, and each time by something else", spoil: (link: Link) => link.delay(200, 200), late: 600 },
  { name: "comes in lumps", spoil: (link: Link) => link.merge(200), late: 600 },
  { name: "comes byte by byte", spoil: (link: Link) => link.split(1), late: 0 },
]) {
  test(`what ${name} is the same, and not taken for a bad link`, async ({ page, wire, link, directus }) => {
    const row = await opened(page, wire, link, directus);
    await spoil(link);
    const since = await now(page);
    const titles = ["first", "second", "third", "last"].map((word) => `${row.first}, ${word}`);
    await row.rename(titles[0] as string);
    await expect(row.title).toHaveText(titles[0] as string, { timeout: 40_000 });
    const first = row.asShown(titles[0] as string);
    const took = ((await moments(page)).find(({ text }) => text === first)?.at ?? NaN) - since;
    expect(took, "it was late").toBeGreaterThanOrEqual(late);

    // Several events on their way at once.
    for (const title of titles.slice(1)) await row.rename(title);
    await expect(row.title).toHaveText(titles[3] as string, { timeout: 40_000 });
    const all = await moments(page);
    await expectInOrder(page, row, [row.first, ...titles]);
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set(["connected"]));
    expect(wire.opened).toBe(1);
    await row.isAsBefore(name);
  });
}
