/** Lets node run the page's TypeScript as it is, by the compiler that the build uses. */
import { register } from "node:module";

register("./typescript-hook.mjs", import.meta.url);
