// Sends the secret behind the # of a link in a form: browsers send that part of an address to no server.
(function () {
  "use strict";
  const form = document.getElementById("with-secret");
  const secret = window.location.hash.slice(1);
  if (!form || !secret) return;
  form.elements.secret.value = secret;
  form.submit();
})();
