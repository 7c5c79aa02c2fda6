// Preact, as the views use it.

export const { useEffect, useLayoutEffect, useRef, useState } = preactHooks;
export const html = htm.bind(preact.h);
