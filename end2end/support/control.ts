import { controlUrl } from "./environment.ts";

export type Mode = "public" | "handshake" | "strict";

/** Starts and stops the real Directus, and our server, and lets logins end. Each call ends when it is done. */
export const control = {
  isThere: controlUrl !== undefined,
  stop: (signal: "TERM" | "KILL") => post(`/directus/stop?signal=${signal}`),
  start: () => post("/directus/start"),
  /** The same login, as Directus would have given it to end so many seconds from now. */
  endingLogin: (login: string, seconds: number) => post(`/directus/login?seconds=${seconds}`, login),
  restart: (mode: Mode) => post(`/directus/restart?mode=${mode}`),
  stopServer: (signal: "TERM" | "KILL") => post(`/server/stop?signal=${signal}`),
  startServer: () => post("/server/start"),
};

/** Asks for something, and gives the answer's text. */
export async function post(path: string, body?: string) {
  const response = await fetch(controlUrl + path, { method: "POST", body });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${text}`);
  return text;
}
