// Starts Swagger UI on /docs. It is a file of its own because the page's policy forbids inline scripts.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  // The default sends the address of the schema to a server of Swagger's makers.
  validatorUrl: null,
});
