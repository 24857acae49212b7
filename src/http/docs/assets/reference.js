// Shows the OpenAPI document on /docs with Swagger UI. Requests that a reader tries go to the host of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const applyScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
applyScheme();
dark.addEventListener("change", applyScheme);

// Swagger UI opens the operation of the address when it starts, and only then.
addEventListener("hashchange", () => location.reload());

const response = await fetch("/openapi.json");
const { openapi, info, paths, webhooks, components, security, tags } = await response.json();
SwaggerUIBundle({
  // Without `servers` Swagger UI takes the origin of the page. The introduction is in the page already.
  spec: { openapi, info, paths, webhooks, components, security, tags },
  plugins: [{ wrapComponents: { InfoContainer: () => () => null } }],
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // Both would ask other hosts.
  validatorUrl: null,
  queryConfigEnabled: false,
});
