/** Swagger UI, which /docs loads before docs.js. */
declare function SwaggerUIBundle(options: {
  url: string;
  dom_id: string;
  deepLinking?: boolean;
  showExtensions?: boolean;
  showCommonExtensions?: boolean;
  validatorUrl?: string | null;
}): void;
