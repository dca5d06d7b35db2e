import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import type { Page } from "@playwright/test";

import { type Mode, control } from "../support/control.ts";
import { users } from "../support/environment.ts";
import { expect, needsControl, test } from "../support/fixtures.ts";

/** The official SDK as a script of the page sees it: only what is used here. */
type Sdk = {
  createDirectus: (url: string) => { with: (composable: unknown) => any };
  authentication: (mode: "session", options: object) => unknown;
  realtime: (options: object) => unknown;
  rest: (options: object) => unknown;
} & Record<"readItems" | "readItem" | "createItem" | "updateItem" | "deleteItem", (...parameters: unknown[]) => unknown> &
  Record<"readMe", (query: object) => unknown>;

declare global {
  interface Window {
    sdk: Sdk;
    /** What the subscription of the page has heard. */
    heard: unknown[];
  }
}

/** Directus's official SDK, unchanged, in a page of the demo: so the session cookie goes along by itself. */
async function openWithSdk(page: Page) {
  const dist = fileURLToPath(new URL("../node_modules/@directus/sdk/dist", import.meta.url));
  await page.route("**/official-sdk/**", async (route) => {
    const file = path.join(dist, new URL(route.request().url()).pathname.split("/official-sdk/")[1] ?? "");
    await route.fulfill({ contentType: "text/javascript", body: await readFile(file, "utf8") });
  });
  await page.goto("/login");
  await page.evaluate(async () => {
    window.sdk = (await import(`${location.origin}/official-sdk/index.js`)) as Sdk;
  });
}

/** Subscribes to a collection through `/directus-ws`, and waits until that is acknowledged. */
async function listen(page: Page, collection: string, fields: string[]) {
  await page.evaluate(
    async ({ collection, fields }) => {
      const url = `${location.origin.replace(/^http/, "ws")}/directus-ws`;
      const client = window.sdk.createDirectus(location.origin).with(window.sdk.realtime({ authMode: "public", url }));
      await client.connect();
      const { subscription } = await client.subscribe(collection, { query: { fields, limit: -1 } });
      const heard: unknown[] = [];
      window.heard = heard;
      // The SDK hears only while somebody asks it for the next message.
      void (async () => {
        for await (const message of subscription) heard.push(message);
      })();
    },
    { collection, fields },
  );
  const heard = () => page.evaluate(() => window.heard);
  await expect.poll(heard).toEqual([expect.objectContaining({ event: "init" })]);
  return heard;
}

test("its subscriptions work through the proxy, anonymous", async ({ page, directus }) => {
  await openWithSdk(page);
  const heard = await listen(page, "posts", ["id", "title"]);
  const post = await directus.createPost();
  await expect.poll(heard).toContainEqual(expect.objectContaining({ event: "create", data: [{ id: post.id, title: post.title }] }));
  await directus.update("posts", post.id, { title: `${post.title}, changed` });
  const updated = { event: "update", data: [{ id: post.id, title: `${post.title}, changed` }] };
  await expect.poll(heard).toContainEqual(expect.objectContaining(updated));
  await directus.delete("posts", post.id);
  await expect.poll(heard).toContainEqual(expect.objectContaining({ event: "delete", data: [String(post.id)] }));
});

test("its reads work through the proxy, anonymous", async ({ page, directus }) => {
  const post = await directus.createPost();
  await openWithSdk(page);
  const rows = await page.evaluate(async (id) => {
    const { createDirectus, readItems, rest } = window.sdk;
    const client = createDirectus(`${location.origin}/directus`).with(rest({}));
    return client.request(readItems("posts", { filter: { id: { _eq: id } }, fields: ["id", "title"], limit: 1 }));
  }, post.id);
  expect(rows).toEqual([{ id: post.id, title: post.title }]);
});

test("its login, reads, writes and logout work through the proxy", async ({ page, complaints }) => {
  complaints.allow(/Failed to load resource: the server responded with a status of 40[13] .*\/directus\//);
  await openWithSdk(page);
  const seen = await page.evaluate(async (credentials) => {
    const { authentication, createDirectus, createItem, deleteItem, readItem, readMe, rest, updateItem } = window.sdk;
    const options = { credentials: "same-origin" };
    // `authentication` would otherwise keep a timer that asks for a new session for as long as the page is open.
    const client = createDirectus(`${location.origin}/directus`)
      .with(authentication("session", { ...options, autoRefresh: false }))
      .with(rest(options));
    const status = (request: Promise<unknown>) =>
      request.then(
        () => 200,
        (error: { response: Response }) => error.response.status,
      );
    const post = { title: "Written with the SDK", status: "draft" };
    const anonymous = await status(client.request(createItem("posts", post)));
    await client.login(credentials);
    const me = await client.request(readMe({ fields: ["first_name"] }));
    const { id } = await client.request(createItem("posts", post));
    await client.request(updateItem("posts", id, { title: "Changed with the SDK" }));
    const changed = await client.request(readItem("posts", id, { fields: ["title"] }));
    await client.request(deleteItem("posts", id));
    await client.refresh();
    const refreshed = await status(client.request(readMe({ fields: ["first_name"] })));
    await client.logout();
    const afterwards = await status(client.request(readMe({ fields: ["first_name"] })));
    return { anonymous, me, changed, refreshed, afterwards, script: document.cookie };
  }, users.ada);
  expect(seen).toEqual({
    anonymous: 403,
    me: { first_name: "Ada" },
    changed: { title: "Changed with the SDK" },
    refreshed: 200,
    afterwards: 401,
    script: "",
  });
});

test.describe("with a session, in each mode of Directus", () => {
  needsControl();

  test.afterAll(async () => {
    if (control.isThere) await control.restart("public");
  });

  for (const mode of ["public", "handshake", "strict"] satisfies Mode[]) {
    test(`its subscriptions work through the proxy as the user: ${mode}`, async ({ page, context, logIn, directus }) => {
      await control.restart(mode);
      await logIn(context, "ada");
      await openWithSdk(page);
      // Only who has logged in may subscribe to users: the socket is Ada's.
      await listen(page, "directus_users", ["id"]);
      const heard = await listen(page, "posts", ["id", "title"]);
      const post = await directus.createPost();
      const created = { event: "create", data: [{ id: post.id, title: post.title }] };
      await expect.poll(heard).toContainEqual(expect.objectContaining(created));
    });
  }
});
