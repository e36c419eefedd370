// What the bundle does without. Cornerstone registers every kind of viewport at its start (volumes, video,
// whole slides, electrocardiograms), so tree shaking keeps them all: 3.6 MB for a viewer of single images.
// A module named here becomes empty under the same exported names; anything that reached for it would fail
// at once and loudly, and the browser tests walk every path that the viewer has.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const CORE = String.raw`@cornerstonejs/core/dist/esm/`;
const VTK = String.raw`@kitware/vtk\.js/`;

/** Paths under node_modules, by what they are for. */
const LEFT_OUT = [
  // Other kinds of viewport, and volumes.
  `${CORE}RenderingEngine/GenericViewport/(ECG|Video|WSI|Volume3D|Planar)/`,
  `${CORE}RenderingEngine/(ECG|Video|WSI|Volume|BaseVolume)Viewport(3D)?\\.js`,
  `${CORE}RenderingEngine/CanvasActor/`,
  `${CORE}RenderingEngine/helpers/(addVolumes|addImageSlices|createVolume|setVolumes|planarVolume)[^/]*\\.js`,
  `${CORE}RenderingEngine/vtkClasses/(vtkShared|vtkSlabCamera|vtkStreamingOpenGL(Volume|ImageReslice))[^/]*\\.js`,
  `${CORE}loaders/(volumeLoader|geometryLoader|cornerstoneMeshLoader|cornerstoneStreaming[^/]*|decimatedVolumeLoader)\\.js`,
  // Reading and sorting DICOM headers, which the server does.
  `@cornerstonejs/metadata/dist/esm/(displayset|safeFunctions)/`,
  `@cornerstonejs/metadata/dist/esm/utilities/(dicomStream/NaturalTagListener|metadataProvider/naturalizedHandlers)\\.js`,
  // vtk.js: files of meshes, colour maps, and everything that is drawn in three dimensions.
  `${VTK}IO/`,
  `${VTK}Rendering/WebGPU/`,
  `${VTK}.*/ColorMaps\\.json`,
  `${VTK}Rendering/OpenGL/(Actor|Actor2D|Glyph3DMapper|ImageCPRMapper|ImageResliceMapper|PixelSpaceCallbackMapper|PolyDataMapper|PolyDataMapper2D|Skybox|SphereMapper|StickMapper|Volume|VolumeMapper)\\.js`,
].map((path) => new RegExp(path));

/** The names that a module exports, from its syntax tree. */
function exportedNames(tree) {
  const names = new Set();
  for (const node of tree.body) {
    if (node.type === 'ExportDefaultDeclaration') names.add('default');
    if (node.type !== 'ExportNamedDeclaration') continue;
    for (const declared of node.declaration?.declarations ?? []) names.add(declared.id.name);
    if (node.declaration?.id) names.add(node.declaration.id.name);
    for (const specifier of node.specifiers) names.add(specifier.exported.name ?? specifier.exported.value);
  }
  return [...names];
}

/** The plugin for Vite. */
export function leaveOut() {
  const log = fileURLToPath(new URL('./src/log.js', import.meta.url));
  return {
    name: 'leave-out',
    enforce: 'pre',
    resolveId(source) {
      return source === 'dcmjs' ? log : null;
    },
    async load(id) {
      const path = id.split('?')[0];
      if (!LEFT_OUT.some((pattern) => pattern.test(path))) return null;
      if (/\.json(\.js)?$/.test(path)) return 'export default [];';
      const names = exportedNames(this.parse(await readFile(path, 'utf8')));
      return `class LeftOut {}\nexport { ${names.map((name) => `LeftOut as ${name}`).join(', ')} };`;
    },
  };
}
