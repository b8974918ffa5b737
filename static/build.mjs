/**
 * Bundles the page into dist/: index.html, assets with the hash of their content in their name (so that they may be
 * cached for ever), and client.js, the push client for other pages.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { build, context } from "esbuild";

const OUT = "dist";
const common = {
  bundle: true,
  format: "esm",
  target: ["chrome111", "firefox113", "safari16.4"],
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};

const page = {
  ...common,
  entryPoints: ["src/page/main.tsx"],
  outdir: `${OUT}/assets`,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  splitting: true,
  sourcemap: "linked",
  metafile: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  // Uppy's requests go through the page's own fetch, which knows who is signed in and explains a refusal.
  inject: ["src/page/api/fetch.ts"],
  plugins: [{ name: "html", setup: ({ onEnd }) => onEnd(({ metafile }) => metafile && writeHtml(metafile)) }],
};

const client = { ...common, entryPoints: ["src/client/index.js"], outfile: `${OUT}/client.js`, minify: false };

/** Writes index.html with the names that the assets were given. */
async function writeHtml(metafile) {
  const [script, entry] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint);
  const icon = await copyHashed("src/icon.svg");
  const html = (await readFile("src/index.html", "utf8"))
    .replace("{{script}}", `/assets/${basename(script)}`)
    .replace("{{style}}", `/assets/${basename(entry.cssBundle)}`)
    .replace("{{icon}}", icon);
  await writeFile(`${OUT}/index.html`, html);
}

async function copyHashed(path) {
  const content = await readFile(path);
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
  const name = `${basename(path, extname(path))}-${hash}${extname(path)}`;
  await writeFile(`${OUT}/assets/${name}`, content);
  return `/assets/${name}`;
}

await rm(OUT, { recursive: true, force: true });
await mkdir(`${OUT}/assets`, { recursive: true });
if (process.argv.includes("--watch")) {
  for (const options of [page, client]) await (await context(options)).watch();
} else {
  await Promise.all([build(page), build(client)]);
}
