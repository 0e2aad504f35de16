"use strict";

// What is entered under Authorize is gone when the page is: nothing is kept in the browser.
SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: document.getElementById("swagger-ui").dataset.schema,
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
