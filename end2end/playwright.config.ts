import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

import { defineConfig } from "@playwright/test";

import { artefacts, baseURL } from "./support/environment.ts";

/** Chrome or Chromium of the machine; where there is none, Playwright's own. */
const chrome =
  process.env.CHROME ??
  [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  ].find((candidate) => existsSync(candidate));

export default defineConfig({
  testDir: "specs",
  outputDir: path.join(artefacts, "test-results"),
  reporter: [["list"], ["json", { outputFile: path.join(artefacts, "results.json") }]],
  // All specs share one Directus and its rows: what one writes, the list of another would show.
  workers: 1,
  fullyParallel: false,
  forbidOnly: Boolean(process.env.CI),
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    baseURL,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    viewport: { width: 1280, height: 900 },
    launchOptions: {
      executablePath: chrome,
      // No sandbox: CI runs as root. The rest keeps Chromium from asking hosts that a closed network does not have.
      args: JSON.parse(readFileSync(new URL("./support/chromium.json", import.meta.url), "utf8")) as string[],
    },
  },
});
