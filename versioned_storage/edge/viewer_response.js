// The CloudFront Function (runtime 2.0) for viewer responses. It runs for every status below 400,
// cached or not, and adds headers that S3 cannot store with an object.

// `manage.py staticbuilds cloudformation` replaces this line with the constants of the site.
const SITE = {"headers": {"cross-origin-resource-policy": "cross-origin", "timing-allow-origin": "*", "x-content-type-options": "nosniff"}, "encodings": [{"name": "br", "suffix": ".br"}, {"name": "gzip", "suffix": ".gz"}], "skip": ["3gp", "3gpp", "7z", "aac", "apng", "asf", "avi", "avif", "br", "bz2", "docx", "epub", "flac", "flv", "gif", "gz", "heic", "heif", "jar", "jpeg", "jpg", "jxl", "lz", "lz4", "lzma", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "oga", "ogg", "ogv", "opus", "png", "pptx", "rar", "swf", "tbz", "tbz2", "tgz", "txz", "weba", "webm", "webp", "whl", "wma", "wmv", "woff", "woff2", "xlsx", "xz", "zip", "zst"]};

const OF_CORS = ['origin', 'access-control-request-headers', 'access-control-request-method'];

function handler(event) {
    const headers = event.response.headers;
    // Also without Origin in the request: a copy that a browser cached without this header fails
    // when an element with `crossorigin` loads the same URL.
    headers['access-control-allow-origin'] = {value: '*'};
    Object.keys(SITE.headers).forEach((name) => {
        headers[name] = {value: SITE.headers[name]};
    });
    const vary = varyOf(headers.vary, isNegotiated(decodeURIComponent(event.request.uri)));
    if (vary) {
        headers.vary = {value: vary};
    } else {
        delete headers.vary;
    }
    return event.response;
}

// True if the request function picks an encoding for this path, which is either the viewer's or
// the one that the request function returned.
function isNegotiated(path) {
    if (SITE.encodings.length === 0) {
        return false;
    }
    const encoding = SITE.encodings.find((item) => path.endsWith(item.suffix));
    const plain = encoding ? path.slice(0, -encoding.suffix.length) : path;
    return isEligible(plain.slice(plain.lastIndexOf('/') + 1));
}

// As in viewer_request.js.
function isEligible(name) {
    const dot = name.lastIndexOf('.');
    const extension = dot > 0 ? name.slice(dot + 1).toLowerCase() : '';
    return !SITE.skip.includes(extension);
}

// The origin's Vary with Accept-Encoding added to what is negotiated, and without what S3 or the
// application adds for CORS, because every response allows every origin: with Origin in it a browser
// requests a file again that a page loads both with and without `crossorigin`.
function varyOf(vary, isNegotiated) {
    const lines = vary ? vary.multiValue || [vary] : [];
    const all = lines.map((line) => line.value).join(',').split(',').map((field) => field.trim());
    const fields = all.filter((field) => field && !OF_CORS.includes(field.toLowerCase()));
    const names = fields.map((field) => field.toLowerCase());
    if (isNegotiated && !names.includes('accept-encoding') && !names.includes('*')) {
        fields.push('Accept-Encoding');
    }
    return fields.join(', ');
}
