import { controlUrl } from "./environment.ts";

export type Mode = "public" | "handshake" | "strict";

/** Starts and stops the real Directus, and our server. Each call ends when it is done. */
export const control = {
  isThere: controlUrl !== undefined,
  stop: (signal: "TERM" | "KILL") => post(`/directus/stop?signal=${signal}`),
  start: () => post("/directus/start"),
  restart: (mode: Mode) => post(`/directus/restart?mode=${mode}`),
  stopServer: (signal: "TERM" | "KILL") => post(`/server/stop?signal=${signal}`),
  startServer: () => post("/server/start"),
};

/** Asks for something, and gives the answer's text. */
export async function post(path: string) {
  const response = await fetch(controlUrl + path, { method: "POST" });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${text}`);
  return text;
}
