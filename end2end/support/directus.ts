import { adminToken, directusUrl } from "./environment.ts";

export type Key = string | number;
export type Row = Record<string, unknown>;
type Query = Record<string, unknown>;

/** Writes to the real Directus as its administrator, past the demo server: somebody else, somewhere else. */
export class DirectusWriter {
  readonly #created: { collection: string; keys: Key[] }[] = [];
  readonly #restore: (() => Promise<unknown>)[] = [];

  async create<T extends Row = Row>(collection: string, data: Row, keyField = "id"): Promise<T> {
    const row = await this.#call<T>("POST", `/items/${collection}`, data);
    this.remember(collection, row[keyField] as Key);
    return row;
  }

  /** One request, several rows. */
  async createMany<T extends Row = Row>(collection: string, data: Row[], keyField = "id"): Promise<T[]> {
    const rows = await this.#call<T[]>("POST", `/items/${collection}`, data);
    this.remember(collection, ...rows.map((row) => row[keyField] as Key));
    return rows;
  }

  /** A published post with a title that no other post has. */
  async createPost(data: Row = {}): Promise<{ id: number; title: string }> {
    const title = `Story ${crypto.randomUUID().slice(0, 8)}`;
    return this.create("posts", { title, status: "published", body: "Written by a test.", ...data });
  }

  update(collection: string, key: Key, patch: Row) {
    return this.#call<Row>("PATCH", `/items/${collection}/${key}`, patch);
  }

  /** One request, the same change to several rows. */
  updateMany(collection: string, keys: Key[], patch: Row) {
    return this.#call<Row[]>("PATCH", `/items/${collection}`, { keys, data: patch });
  }

  delete(collection: string, key: Key) {
    return this.#call("DELETE", `/items/${collection}/${key}`);
  }

  deleteMany(collection: string, keys: Key[]) {
    return this.#call("DELETE", `/items/${collection}`, keys);
  }

  /** What REST answers, under the two fixed readings of a query: no limit is all rows, and a sort ends with the key. */
  read<T extends Row = Row>(collection: string, query: Query = {}, keyField = "id"): Promise<T[]> {
    const sort = query.sort as string[] | undefined;
    return this.#call<T[]>("SEARCH", `/items/${collection}`, {
      query: { ...query, limit: query.limit ?? -1, ...(sort && { sort: [...sort, keyField] }) },
    });
  }

  readSingleton<T extends Row = Row>(collection: string): Promise<T> {
    return this.#call<T>("GET", `/items/${collection}`);
  }

  /** A collection with a counting key and these fields, which everybody may read; it is gone after `cleanUp`. */
  async createCollection(collection: string, fields: Record<string, string>) {
    const plain = Object.entries(fields).map(([field, type]) => ({ field, type, meta: {}, schema: {} }));
    const key = { field: "id", type: "integer", meta: {}, schema: { is_primary_key: true, has_auto_increment: true } };
    await this.#call("POST", "/collections", { collection, schema: {}, meta: {}, fields: [key, ...plain] });
    this.#restore.push(() => this.#call("DELETE", `/collections/${collection}`));
    const [policy] = await this.#call<{ id: string }[]>("SEARCH", "/policies", {
      query: { filter: { name: { _eq: "$t:public_label" } }, fields: ["id"] },
    });
    await this.#call("POST", "/permissions", {
      policy: policy?.id,
      collection,
      action: "read",
      fields: ["*"],
      permissions: {},
      validation: {},
    });
  }

  /** Changes a singleton; it is as before when the test ends. */
  async updateSingleton(collection: string, patch: Row) {
    const before = await this.readSingleton(collection);
    const fields = Object.fromEntries(Object.keys(patch).map((field) => [field, before[field]]));
    this.#restore.push(() => this.#call("PATCH", `/items/${collection}`, fields));
    return this.#call("PATCH", `/items/${collection}`, patch);
  }

  /** Takes a right of the public away: how many there were, and how to give them back before the test ends. */
  async revokeFromPublic(collection: string, action: "create" | "read" | "update" | "delete") {
    const query = { filter: { collection: { _eq: collection }, action: { _eq: action }, policy: { roles: { role: { _null: true } } } } };
    const found = await this.#call<{ id: number; policy: string }[]>("SEARCH", "/permissions", { query });
    let lost = found.map(({ id: _, ...permission }) => permission);
    const giveBack = async () => {
      const back = lost;
      lost = [];
      for (const permission of back) await this.#call("POST", "/permissions", permission);
    };
    this.#restore.push(giveBack);
    for (const { id } of found) await this.#call("DELETE", `/permissions/${id}`);
    return { revoked: found.length, giveBack };
  }

  /** Removes what the test made, newest first, whether or not the test did so itself. */
  async cleanUp() {
    for (const restore of this.#restore) await restore();
    for (const { collection, keys } of this.#created.reverse()) await this.deleteMany(collection, keys);
  }

  /** Rows that the page made during the test: they go, too. */
  remember(collection: string, ...keys: Key[]) {
    this.#created.push({ collection, keys });
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(directusUrl + path, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? (undefined as T) : (JSON.parse(text).data as T);
  }
}
