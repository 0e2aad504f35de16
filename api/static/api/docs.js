"use strict";

// Some parts of Swagger UI have no name that a screen reader could say.
const named = (name) => (Original, { React }) => (props) =>
  React.createElement(
    "label",
    null,
    React.createElement("span", { className: "unseen" }, name),
    React.createElement(Original, props),
  );

// Each way to authorize takes the focus, so that the last one scrolls into view. Give it to the first.
const focusFirst = (Original, { React }) => (props) => {
  React.useEffect(() => document.querySelector(".auth-container input")?.focus(), []);
  return React.createElement(Original, props);
};

// What is entered under Authorize is gone when the page is: nothing is kept in the browser.
SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: document.getElementById("swagger-ui").dataset.schema,
  plugins: [{
    wrapComponents: {
      ExamplesSelect: named("Example"),
      CloseIcon: named("Close"),
      auths: focusFirst,
    },
  }],
  deepLinking: false, // it would put a link inside a button
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  syntaxHighlight: false,
  validatorUrl: null,
});
