// What the viewer takes of Cornerstone3D: one kind of viewport, its rendering on a GPU or a CPU, and the door
// through which our own loader hands it decoded pixels. Everything else stays out of the bundle.
export { Enums, RenderingEngine, cache, getRenderingCapabilities, getShouldUseCPURendering, imageLoader, init, metaData } from '@cornerstonejs/core';
