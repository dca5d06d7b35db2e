import { type BrowserContext, type Page, expect, test as base } from "@playwright/test";

import { ConsoleWatch } from "./console.ts";
import { control } from "./control.ts";
import { DirectusWriter } from "./directus.ts";
import { type UserName, baseURL, users } from "./environment.ts";
import { Gateway } from "./gateway.ts";
import { Link } from "./link.ts";
import { Wire } from "./wire.ts";

export type Fixtures = {
  /** Somebody who writes to Directus; what they made is gone when the test ends. */
  directus: DirectusWriter;
  /** What the page and the server say to each other. */
  wire: Wire;
  /** A way to the demo server that lets no WebSocket through until it is told to, and does to its frames what the test says. */
  gateway: Gateway;
  /** A way to the demo server that can be made bad. */
  link: Link;
  /** Fails the test when the browser complains. */
  complaints: ConsoleWatch;
  /** Logs a whole browser context in, as the login page would. */
  logIn: (context: BrowserContext, user: UserName) => Promise<void>;
  /** A second visitor with a browser of their own. */
  newVisitor: (options?: { user?: UserName }) => Promise<{ page: Page; wire: Wire }>;
};

export const test = base.extend<Fixtures>({
  directus: async ({}, use) => {
    const directus = new DirectusWriter();
    await use(directus);
    await directus.cleanUp();
  },
  wire: async ({ page }, use) => {
    await use(new Wire(page));
  },
  gateway: async ({}, use) => {
    const gateway = await Gateway.listen();
    await use(gateway);
    gateway.close();
  },
  link: async ({ page }, use) => {
    const link = await Link.open();
    await use(link);
    // First the page: what it is reading would be cut with the link, and the browser complains of that.
    await page.close();
    await link.close();
  },
  complaints: [
    async ({ page }, use) => {
      const complaints = new ConsoleWatch();
      complaints.watch(page);
      await use(complaints);
      complaints.check();
    },
    { auto: true },
  ],
  logIn: async ({}, use) => {
    await use(async (context, user) => {
      const answer = await context.request.post(`${baseURL}/directus/auth/login`, {
        data: { ...users[user], mode: "session" },
        // Of somebody who is logged in already it is asked for.
        headers: { origin: baseURL },
      });
      expect(answer.ok(), await answer.text()).toBe(true);
    });
  },
  newVisitor: async ({ browser, complaints, logIn }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async ({ user } = {}) => {
      const context = await browser.newContext({ baseURL });
      contexts.push(context);
      if (user !== undefined) await logIn(context, user);
      const page = await context.newPage();
      complaints.watch(page);
      return { page, wire: new Wire(page) };
    });
    for (const context of contexts) await context.close();
  },
});

export { expect };

/** The badge that says how the page's connection is. */
export const badge = (page: Page) => page.getByRole("status").filter({ hasText: "Connection:" });
/** When the next try to connect is, beside it. */
export const countdown = (page: Page) => page.getByRole("timer");
/** The list of the front page. */
export const stories = (page: Page) => page.getByRole("list", { name: "Stories, newest first" });
/** One story of the front page. */
export const story = (page: Page, title: string) => stories(page).getByRole("heading", { name: title, exact: true });

/** The page is hydrated, its socket is open, and nothing is under way any more. */
export async function settled(page: Page) {
  await expect(badge(page)).toContainText("Connected");
  await page.waitForLoadState("networkidle");
}

/** Tests of what the server says of relations need it to know them: `cargo xtask test e2e` gives it the token. */
export function needsSchemaToken() {
  test.beforeEach(async ({ request }) => {
    if (control.isThere) return;
    const { leads } = await (await request.get("/directus-ws?relations_of=posts&path=author.name")).json();
    test.skip(!leads, "the server has no DIRECTUS_SCHEMA_TOKEN (cargo xtask test e2e gives it one)");
  });
}

/** Tests that stop Directus, or spoil a link, need somebody who can: `cargo xtask test e2e`. */
export function needsControl() {
  test.skip(!control.isThere, "DIRECTUS_CONTROL_URL is not set: nobody here may stop Directus or spoil a link (cargo xtask test e2e may)");
}
