// The CloudFront Function (runtime 2.0) for viewer requests. It runs before the cache lookup: the
// URI that it returns is the cache key and the path of the origin request.
//
// S3 ignores Accept-Encoding, so this function picks the object: app.css, app.css.br or app.css.gz.
// It cannot check whether an object exists, and it outlives many builds, so it requests only the
// encodings that every retained build has.

// `manage.py staticbuilds cloudformation` replaces this line with the constants of the site.
const SITE = {"prefix": "/static/", "manifest": "staticfiles.json", "encodings": [{"name": "br", "suffix": ".br"}, {"name": "gzip", "suffix": ".gz"}], "skip": ["3gp", "3gpp", "7z", "aac", "apng", "asf", "avi", "avif", "br", "bz2", "docx", "epub", "flac", "flv", "gif", "gz", "heic", "heif", "jar", "jpeg", "jpg", "jxl", "lz", "lz4", "lzma", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "oga", "ogg", "ogv", "opus", "png", "pptx", "rar", "swf", "tbz", "tbz2", "tgz", "txz", "weba", "webm", "webp", "whl", "wma", "wmv", "woff", "woff2", "xlsx", "xz", "zip", "zst"]};

// A member of an Accept-Encoding header in lower case: a coding and, optionally, its weight.
const MEMBER = /^[ \t]*([^ \t;]+)[ \t]*(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?$/;

// The weight of identity if the header does not name it: acceptable, but below every weight.
const LEAST = 0.0005;

function handler(event) {
    const request = event.request;
    const names = namesBelowPrefix(request.uri);
    if (names === null || !isPublic(names)) {
        return answer(404, 'Not Found', {'cache-control': {value: 'no-store'}});
    }
    if (request.method === 'OPTIONS') {
        return answer(204, 'No Content', {
            'access-control-allow-methods': {value: 'GET, HEAD, OPTIONS'},
            'access-control-allow-headers': {value: '*'},
            'access-control-max-age': {value: '86400'},
        });
    }
    // S3 obeys parameters such as response-content-type, which viewers must not set.
    request.querystring = {};
    // S3 reads a bare plus as a space. Encoded, both spellings are also one cache key.
    request.uri = request.uri.replace(/\+/g, '%2B');
    if (isEligible(names[names.length - 1])) {
        const suffix = preferredSuffix(weightsIn(request.headers['accept-encoding']));
        if (suffix === null) {
            return answer(406, 'Not Acceptable', {'cache-control': {value: 'no-store'}});
        }
        request.uri += suffix;
    }
    return request;
}

function answer(status, description, headers) {
    headers['access-control-allow-origin'] = {value: '*'};
    return {statusCode: status, statusDescription: description, headers: headers};
}

// The path below the prefix, decoded as S3 decodes it and split; null for any other path.
function namesBelowPrefix(uri) {
    let path;
    try {
        path = decodeURIComponent(uri);
    } catch (error) {
        return null;
    }
    return path.startsWith(SITE.prefix) ? path.slice(SITE.prefix.length).split('/') : null;
}

// False for the manifest and dotfiles, and for empty names, '.' and '..', which no file has.
function isPublic(names) {
    if (names.length <= 2 && names[names.length - 1] === SITE.manifest) {
        return false;
    }
    return names.every((name) => name !== '' && !name.startsWith('.'));
}

// Only the extension decides, as in `is_eligible` in constants.py.
function isEligible(name) {
    const dot = name.lastIndexOf('.');
    const extension = dot > 0 ? name.slice(dot + 1).toLowerCase() : '';
    return !SITE.skip.includes(extension);
}

// The weights of the codings in an Accept-Encoding header (RFC 9110, 12.5.3). Malformed members are
// ignored.
function weightsIn(header) {
    const weights = {};
    if (header) {
        const lines = header.multiValue ? header.multiValue : [header];
        lines.map((line) => line.value).join(',').toLowerCase().split(',').forEach((member) => {
            const parts = MEMBER.exec(member);
            if (parts) {
                const coding = parts[1] === 'x-gzip' ? 'gzip' : parts[1];
                weights[coding] = parts[2] === undefined ? 1 : Number(parts[2]);
            }
        });
    }
    return weights;
}

// The suffix of the encoding with the highest weight, or null if none is acceptable; the same as
// `choose` in serving/negotiation.py. Of equal weights, an encoding that the header names comes
// first, in the order of SITE, and identity before one that only '*' allows.
function preferredSuffix(weights) {
    const any = weights['*'];
    const unnamed = any === undefined ? LEAST : any;
    const identity = weights.identity === undefined ? unnamed : weights.identity;
    let best = {suffix: '', weight: identity, named: false};
    SITE.encodings.forEach((encoding) => {
        const named = weights[encoding.name] !== undefined;
        const weight = named ? weights[encoding.name] : any;
        if (weight > best.weight || (weight === best.weight && named && !best.named)) {
            best = {suffix: encoding.suffix, weight: weight, named: named};
        }
    });
    return best.weight > 0 ? best.suffix : null;
}
