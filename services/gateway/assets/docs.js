// Draws openapi.json, and sends requests as it describes them. All text is set as text, never as HTML.
const el = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const resolve = (api, node) =>
  node?.$ref ? node.$ref.slice(2).split("/").reduce((at, key) => at[key], api) : node;

// A schema as a short sketch of the JSON it stands for.
function sketch(api, schema, depth = 0) {
  const spec = resolve(api, schema) ?? {};
  if (depth > 6) return "…";
  if (spec.const !== undefined) return JSON.stringify(spec.const);
  if (spec.enum) return spec.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = spec.anyOf ?? spec.oneOf;
  if (choices) return choices.map((choice) => sketch(api, choice, depth)).join(" | ");
  if (spec.type === "array") return `[${sketch(api, spec.items ?? {}, depth + 1)}]`;
  if (spec.properties) {
    const pad = "  ".repeat(depth + 1);
    const lines = Object.entries(spec.properties).map(([name, property]) => {
      const optional = spec.required?.includes(name) ? "" : "?";
      return `${pad}"${name}"${optional}: ${sketch(api, property, depth + 1)}`;
    });
    return `{\n${lines.join(",\n")}\n${"  ".repeat(depth)}}`;
  }
  return [spec.type ?? "any", spec.format && `(${spec.format})`].filter(Boolean).join(" ");
}

function parameters(operation, fields) {
  if (!operation.parameters.length) return null;
  const rows = operation.parameters.map((parameter) => {
    const input = el("input", { ariaLabel: parameter.name, placeholder: parameter.schema.type ?? "" });
    fields.push({ parameter, input });
    const name = el("code", { textContent: parameter.name });
    const about = el("span", { className: "muted", textContent: parameter.description ?? "" });
    return el("tr", {}, el("td", {}, name), el("td", { textContent: parameter.in }), el("td", {}, input), el("td", {}, about));
  });
  return el("table", {}, el("tbody", {}, ...rows));
}

function responses(api, operation) {
  return Object.entries(operation.responses).map(([status, reference]) => {
    const response = resolve(api, reference);
    const schema = Object.values(response.content ?? {})[0]?.schema;
    const line = el("p", {}, el("strong", { textContent: `${status} ` }), response.description);
    const shape = schema && Number(status) < 400 ? el("pre", { textContent: sketch(api, schema) }) : null;
    return el("div", {}, line, shape);
  });
}

async function send(method, path, fields, body) {
  const query = new URLSearchParams();
  const headers = {};
  let url = path;
  for (const { parameter, input } of fields) {
    if (input.value === "") continue;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query") query.set(parameter.name, input.value);
    if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  if (body !== null) headers["Content-Type"] = "application/json";
  const text = query.size ? `${url}?${query}` : url;
  const answer = await fetch(text.slice(1), { method: method.toUpperCase(), headers, body, redirect: "manual" });
  const received = await answer.text();
  try {
    return `${answer.status}\n${JSON.stringify(JSON.parse(received), null, 2)}`;
  } catch {
    return `${answer.status}\n${received}`;
  }
}

function operationView(api, method, path, operation) {
  const fields = [];
  const schema = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  const body = schema ? el("textarea", { ariaLabel: "Request body", value: "{}" }) : null;
  const output = el("pre", { hidden: true });
  const button = el("button", { textContent: "Send" });
  button.addEventListener("click", async () => {
    output.hidden = false;
    output.textContent = "…";
    try {
      output.textContent = await send(method, path, fields, body?.value ?? null);
    } catch (error) {
      output.textContent = String(error);
    }
  });
  return el(
    "details",
    { id: operation.operationId },
    el(
      "summary",
      {},
      el("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
      el("code", { textContent: path }),
      el("span", { className: "muted", textContent: operation.summary }),
    ),
    el(
      "div",
      {},
      parameters(operation, fields),
      schema ? el("h4", { textContent: "Request" }) : null,
      schema ? el("pre", { textContent: sketch(api, schema) }) : null,
      el("h4", { textContent: "Answers" }),
      ...responses(api, operation),
      el("h4", { textContent: "Try it" }),
      body,
      button,
      output,
    ),
  );
}

function draw(api) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const views = groups.get(operation.tags[0]) ?? [];
      groups.set(operation.tags[0], [...views, operationView(api, method, path, operation)]);
    }
  }
  const sections = [...groups].map(([tag, views]) => el("section", {}, el("h2", { textContent: tag }), ...views));
  const heading = el("h1", { textContent: `${api.info.title} ${api.info.version}` });
  const source = el("p", {}, el("a", { href: "openapi.json", textContent: "openapi.json" }));
  document.getElementById("document").replaceChildren(
    heading,
    el("pre", { textContent: api.info.description }),
    source,
    ...sections,
  );
}

fetch("openapi.json")
  .then((answer) => answer.json())
  .then(draw)
  .catch((error) => {
    document.getElementById("document").textContent = `openapi.json could not be loaded: ${error}`;
  });
