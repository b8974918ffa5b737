import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

export async function load(url, context, next) {
  if (!/\.tsx?$/.test(url)) return next(url, context);
  const source = await readFile(fileURLToPath(url), "utf8");
  const { code } = await transform(source, { loader: url.endsWith("x") ? "tsx" : "ts", format: "esm", target: "node18" });
  return { format: "module", source: code, shortCircuit: true };
}
