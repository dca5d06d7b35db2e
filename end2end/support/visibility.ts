import type { Page } from "@playwright/test";

/** What the page's scripts are told of its being seen: a headless browser shows every page. */
export async function setVisibility(page: Page, state: "hidden" | "visible") {
  await page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

/** What they are told when somebody looks at the page that was in sight all the time. */
export const lookAt = (page: Page) => page.evaluate(() => void window.dispatchEvent(new Event("focus")));
