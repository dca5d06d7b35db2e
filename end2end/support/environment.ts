/** Where everything is. `cargo xtask test e2e` sets all of it; without, the addresses of `cargo leptos end-to-end`. */
export const baseURL = process.env.BASE_URL ?? "http://127.0.0.1:3000";
export const directusUrl = process.env.DIRECTUS_URL ?? "http://127.0.0.1:8055";
export const adminToken = process.env.ADMIN_TOKEN ?? "admin-static-token";
export const controlUrl = process.env.DIRECTUS_CONTROL_URL;
export const artefacts = process.env.ARTEFACTS ?? "artefacts";

export const users = {
  ada: { email: "ada@example.com", password: "ada-pass-1" },
  grace: { email: "grace@example.com", password: "grace-pass-1" },
} as const;
export type UserName = keyof typeof users;
