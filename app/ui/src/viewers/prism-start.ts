/* Prism's language files expect a global; manual keeps it from looking for code in the page by itself. */

(globalThis as { Prism?: unknown }).Prism = { manual: true, disableWorkerMessageHandler: true };
