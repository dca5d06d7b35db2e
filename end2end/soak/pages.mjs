// Pages at /explore in a real browser, for `cargo xtask soak`: a question is a line of JSON, and so is its answer.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { chromium } from "@playwright/test";

const browser = await chromium.launch({
  executablePath: process.env.CHROME,
  args: JSON.parse(readFileSync(new URL("../support/chromium.json", import.meta.url), "utf8")),
  // Playwright switches the cache off.
  ignoreDefaultArgs: ["--disable-back-forward-cache"],
});
const pages = new Map();

/** Notes from now on what no page may show at any time: a row twice, and no rows where there always are some. */
function watch(neverEmpty) {
  let hadRows = false;
  // Not the page's clock: that may be moved.
  const { now } = window;
  const began = now();
  // What it showed, for whoever finds it wrong, and since when it shows what it does.
  window.shown = { before: [], text: "", since: began };
  const look = () => {
    const keys = [...document.querySelectorAll("tbody tr[data-key]")].map((row) => row.getAttribute("data-key"));
    const twice = keys.find((key, place) => keys.indexOf(key) !== place);
    if (twice !== undefined) window.wrong ??= `it showed the row ${twice} twice: ${keys}`;
    if (neverEmpty && hadRows && keys.length === 0) window.wrong ??= "it blanked";
    hadRows ||= keys.length > 0;
    const says = document.querySelector("#rows")?.textContent ?? "no heading";
    const count = `${keys.length} where it says ${says}`;
    const { before } = window.shown;
    if (before.at(-1)?.count !== count) before.push({ at: now() - began, count });
    before.splice(0, before.length - 40);
    const status = document.querySelector("[data-status]")?.getAttribute("data-status");
    const [notice, rows] = [".explore .notice", "tbody"].map((place) => document.querySelector(place)?.textContent);
    const text = `${status} ${notice} ${rows}`;
    if (text !== window.shown.text) Object.assign(window.shown, { text, since: now() });
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  look();
}

/** What the page's scripts are told of its being seen. */
const see = (page, state) =>
  page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);

const does = {
  async open({ page: number, url, parameters, never_empty: neverEmpty, movable }) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(() => {
      window.now = Date.now.bind(Date);
    });
    if (movable) await page.clock.install();
    page.on("pageerror", (error) => console.error(`page ${number}: ${error}`));
    page.on("console", (message) => console.error(`page ${number}: ${message.text()}`));
    pages.set(number, Object.assign(page, { neverEmpty }));
    await page.goto(`${url}?${new URLSearchParams(parameters)}`);
    await page.locator('[data-status="connected"]').waitFor({ timeout: 30_000 });
    await page.evaluate(watch, neverEmpty);
    return null;
  },
  look({ page: number }) {
    return pages.get(number).evaluate(() => ({
      before: window.shown.before,
      unchanged_ms: window.now() - window.shown.since,
      wrong: window.wrong ?? null,
      status: document.querySelector("[data-status]")?.getAttribute("data-status"),
      list: document.querySelector("[data-live]")?.getAttribute("data-live"),
      notice: document.querySelector(".explore .notice")?.textContent ?? null,
      rows: [...document.querySelectorAll("tbody tr[data-key]")].map((row) => ({
        key: row.getAttribute("data-key"),
        cells: Object.fromEntries(
          [...row.querySelectorAll("td[data-field]")].map((cell) => [cell.getAttribute("data-field"), cell.textContent]),
        ),
      })),
    }));
  },
  /** Out of sight, and frozen as a browser does it; and back. */
  async asleep({ page: number, is }) {
    const page = pages.get(number);
    const session = await page.context().newCDPSession(page);
    if (is) await see(page, "hidden");
    await session.send("Page.setWebLifecycleState", { state: is ? "frozen" : "active" });
    if (!is) await see(page, "visible");
    await session.detach();
    return null;
  },
  /** Out of sight; and back after hours, by its own clock. */
  async hidden({ page: number, is }) {
    const page = pages.get(number);
    if (is) return see(page, "hidden");
    await page.clock.fastForward("03:00:00");
    return see(page, "visible");
  },
  /** Somebody goes elsewhere, and back: whether it is the page that was left. */
  async left({ page: number, is }) {
    const page = pages.get(number);
    if (is) {
      await page.goto("about:blank");
      return null;
    }
    await page.goBack({ waitUntil: "commit" });
    const isTheSame = await page.evaluate(() => "shown" in window);
    // A browser may have thrown it away: then it is loaded anew.
    if (!isTheSame) {
      await page.locator("[data-status]").waitFor({ timeout: 30_000 });
      await page.evaluate(watch, page.neverEmpty);
    }
    return isTheSame;
  },
  async offline({ page: number, is }) {
    await pages.get(number).context().setOffline(is);
    return null;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await does[question.does](question)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
