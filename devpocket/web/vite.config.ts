import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { compressed } from "./compress.ts";
import { xtermUnderCsp } from "./xterm-csp.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Django serves what is built: dist/ as static files under /static/web/, index.html and sw.js at addresses of their own.
export default defineConfig({
  base: "/static/web/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0, // the content security policy allows no scripts or fonts as data
    modulePreload: { polyfill: false }, // it would be an inline script
    rollupOptions: {
      input: { index: here("index.html"), sw: here("src/sw.ts") },
      output: {
        // A service worker keeps its address for ever; all else is named by its content, and so stored for ever.
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
        // What screens share is one file, and not one for each module: the first page would wait for a dozen of them.
        codeSplitting: {
          groups: [
            {
              name: "shared",
              test: /\/src\/(lib|ui)\/|\/node_modules\/(preact|@preact|wouter-preact)\//,
              minShareCount: 2,
            },
          ],
        },
      },
    },
  },
  plugins: [xtermUnderCsp(), compressed()],
  test: { environment: "node", include: ["tests/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
