import http from "node:http";

import { baseURL } from "../support/environment.ts";
import { expect, test } from "../support/fixtures.ts";

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
