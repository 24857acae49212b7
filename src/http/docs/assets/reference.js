// Shows the OpenAPI document on /docs with Swagger UI. Requests that a reader tries go to the host of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const applyScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
applyScheme();
dark.addEventListener("change", applyScheme);

// Swagger UI opens the operation of the address when it starts, and only then.
addEventListener("hashchange", () => location.reload());

/** The library says by position alone what some of its fields are, and lets no keyboard scroll its examples. */
const nameOf = {
  ".body-param__text": () => "Request body",
  ".examples-select-element": () => "Example",
  ".content-type, .content-type-wrapper select": () => "Content type",
  ".parameters select, .parameters textarea, .parameters input": (field) => field.closest("[data-param-name]")?.dataset.paramName,
  ".close-modal": () => "Close",
};
function mendNames() {
  for (const [selector, of] of Object.entries(nameOf))
    for (const field of document.querySelectorAll(`#reference :is(${selector}):not([aria-label])`)) {
      const name = of(field);
      if (name !== undefined) field.setAttribute("aria-label", name);
    }
  for (const button of document.querySelectorAll("#reference .auth-btn-wrapper .authorize[aria-label]"))
    button.removeAttribute("aria-label");
  for (const example of document.querySelectorAll("#reference pre.microlight:not([tabindex])")) example.tabIndex = 0;
}
new MutationObserver(mendNames).observe(document.getElementById("reference"), { childList: true, subtree: true });

/** The path of an operation stands inside the button that opens it, where a link of its own would be out of reach of reading aids. */
const pathWithoutLink =
  (_, { React }) =>
  ({ text }) =>
    React.createElement("span", null, text);

const response = await fetch("/openapi.json");
const { openapi, info, paths, webhooks, components, security, tags } = await response.json();
SwaggerUIBundle({
  // Without `servers` Swagger UI takes the origin of the page. The introduction is in the page already.
  spec: { openapi, info, paths, webhooks, components, security, tags },
  plugins: [{ wrapComponents: { InfoContainer: () => () => null, DeepLink: pathWithoutLink } }],
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // Both would ask other hosts.
  validatorUrl: null,
  queryConfigEnabled: false,
});
