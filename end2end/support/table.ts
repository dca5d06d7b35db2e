import type { Page } from "@playwright/test";

import type { Row } from "./directus.ts";

/** The address of /explore with a collection and a query. */
export const explore = (collection: string, query: unknown, keyField = "id") => {
  const parameters = new URLSearchParams({ collection, query: typeof query === "string" ? query : JSON.stringify(query) });
  if (keyField !== "id") parameters.set("key", keyField);
  return `/explore?${parameters}`;
};

/** The table of /explore, as rows of texts under their fields. */
export function table(page: Page): Promise<{ key: string; cells: Record<string, string> }[]> {
  return page.locator("tbody tr[data-key]").evaluateAll((rows) =>
    rows.map((row) => ({
      key: row.getAttribute("data-key") ?? "",
      cells: Object.fromEntries(
        [...row.querySelectorAll("td[data-field]")].map((cell) => [cell.getAttribute("data-field") ?? "", cell.textContent ?? ""]),
      ),
    })),
  );
}

/** The rows of REST as the table shows them: text as it is, everything else as JSON; groups, which have no key, by their places. */
export const asTable = (rows: Row[], keyField: string) =>
  rows.map((row, place) => ({
    key: String(row[keyField] ?? place),
    cells: Object.fromEntries(
      Object.entries(row).map(([field, value]) => [field, typeof value === "string" ? value : JSON.stringify(value)]),
    ),
  }));
