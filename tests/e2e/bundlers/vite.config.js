import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    assetsInlineLimit: 0,
    manifest: "manifest.json",
    outDir: "vite",
    rolldownOptions: { input: "src/main.js" },
  },
});
