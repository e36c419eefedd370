// Cornerstone takes its logger, and for the images we show nothing else, from dcmjs: a DICOM parser with the
// whole data dictionary, one megabyte. The files are parsed on the server, so the logger is all that is left.
import log from 'loglevel';

export { log };
export const constants = {};
export default { log, data: { DicomMetaDictionary: { dictionary: {}, nameMap: {} } } };
