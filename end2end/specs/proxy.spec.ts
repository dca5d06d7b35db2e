import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";

import type { Page } from "@playwright/test";

import { type Mode, control } from "../support/control.ts";
import { baseURL } from "../support/environment.ts";
import { expect, needsControl, test } from "../support/fixtures.ts";

/** Asks for a WebSocket as any client could, and says what came back. */
function upgrade(headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${baseURL}/directus-ws`, {
      // A connection of its own: a refused one is closed.
      agent: false,
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": Buffer.from(crypto.randomUUID()).subarray(0, 16).toString("base64"),
        ...headers,
      },
    });
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.on("error", reject);
    request.end();
  });
}

test("a foreign origin is refused, with and without a session", async ({ context, logIn }) => {
  expect(await upgrade({ origin: baseURL })).toBe(101);
  expect(await upgrade({ origin: "https://evil.example" })).toBe(403);
  expect(await upgrade({ origin: `${baseURL}.evil.example` })).toBe(403);
  expect(await upgrade({ origin: "null" })).toBe(403);
  await logIn(context, "ada");
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  expect(await upgrade({ origin: baseURL, cookie })).toBe(101);
  expect(await upgrade({ origin: "https://evil.example", cookie })).toBe(403);
});

test("a page of another origin gets no socket", async ({ page, complaints }) => {
  complaints.allow(/WebSocket connection to|Failed to load resource/);
  await page.route("http://foreign.example/", (route) => route.fulfill({ contentType: "text/html", body: "<title>Foreign</title>" }));
  await page.goto("http://foreign.example/");
  const address = `${baseURL.replace(/^http/, "ws")}/directus-ws`;
  const outcome = await page.evaluate(
    (address) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(address);
        socket.onopen = () => resolve("open");
        socket.onclose = () => resolve("closed");
      }),
    address,
  );
  expect(outcome).toBe("closed");
});

test("a plain GET says what a refused upgrade cannot", async ({ request }) => {
  expect(await (await request.get("/directus-ws")).json()).toMatchObject({ admitted: true, identity: "anonymous" });
  const foreign = await request.get("/directus-ws", { headers: { origin: "https://evil.example" } });
  expect(await foreign.json()).toMatchObject({ admitted: false, code: "ORIGIN_REFUSED" });
});

/** Directus's official SDK, unchanged, in the browser: subscribes to posts and says what it heard. */
async function listenWithSdk(page: Page): Promise<{ heard: () => Promise<unknown[]> }> {
  const dist = path.resolve(import.meta.dirname, "../node_modules/@directus/sdk/dist");
  await page.route("**/official-sdk/**", async (route) => {
    const file = path.join(dist, new URL(route.request().url()).pathname.split("/official-sdk/")[1] ?? "");
    await route.fulfill({ contentType: "text/javascript", body: await readFile(file, "utf8") });
  });
  await page.goto("/login");
  await page.evaluate(async () => {
    const { createDirectus, realtime } = await import(`${location.origin}/official-sdk/index.js`);
    const url = `${location.origin.replace(/^http/, "ws")}/directus-ws`;
    const client = createDirectus(location.origin).with(realtime({ authMode: "public", url }));
    await client.connect();
    const { subscription } = await client.subscribe("posts", { query: { fields: ["id", "title"], limit: -1 } });
    const heard: unknown[] = [];
    Object.assign(window, { heard });
    // The SDK hears only while somebody asks it for the next message.
    void (async () => {
      for await (const message of subscription) heard.push(message);
    })();
  });
  const heard = () => page.evaluate(() => (window as unknown as { heard: unknown[] }).heard);
  await expect.poll(heard).toEqual([expect.objectContaining({ event: "init" })]);
  return { heard };
}

test("the official SDK works through the proxy, anonymous", async ({ page, directus }) => {
  const sdk = await listenWithSdk(page);
  const post = await directus.createPost();
  const created = expect.objectContaining({ event: "create", data: [{ id: post.id, title: post.title }] });
  await expect.poll(sdk.heard).toContainEqual(created);
  await directus.delete("posts", post.id);
  await expect.poll(sdk.heard).toContainEqual(expect.objectContaining({ event: "delete", data: [String(post.id)] }));
});

test.describe("with a session, in each mode of Directus", () => {
  needsControl();

  test.afterAll(async () => {
    if (control.isThere) await control.restart("public");
  });

  for (const mode of ["public", "handshake", "strict"] satisfies Mode[]) {
    test(`the official SDK works through the proxy: ${mode}`, async ({ page, context, logIn, directus }) => {
      await control.restart(mode);
      await logIn(context, "ada");
      const sdk = await listenWithSdk(page);
      const post = await directus.createPost();
      const created = expect.objectContaining({ event: "create", data: [{ id: post.id, title: post.title }] });
      await expect.poll(sdk.heard).toContainEqual(created);
    });
  }
});
