/* JSON as Python writes it. Pure: no DOM. */

export function parsePython(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		/* json.dump writes NaN, Infinity and -Infinity outside strings, which JSON does not know. */
		const patched = text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (m) => (m.startsWith('"') ? m : `"${m}"`));
		try {
			return JSON.parse(patched);
		} catch {
			throw error;
		}
	}
}
