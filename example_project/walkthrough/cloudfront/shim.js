// What CloudFront does around its functions, for nginx with njs: it makes the event, calls the
// function and does what that says.
import request from 'viewer_request.js';
import response from 'viewer_response.js';

function multiValued(headers) {
    const made = {};
    for (const name in headers) {
        made[name.toLowerCase()] = {value: String(headers[name])};
    }
    return made;
}

function viewerRequest(r) {
    const sent = r.variables.request_uri.split('?');
    return {
        method: r.method,
        uri: sent[0],
        querystring: sent.length > 1 ? multiValued(r.args) : {},
        headers: multiValued(r.headersIn),
        cookies: {},
    };
}

function event(r, type, more) {
    const context = {eventType: type, requestId: r.variables.request_id};
    return Object.assign({version: '1.0', context: context, viewer: {ip: r.remoteAddress}}, more);
}

function onRequest(r) {
    const left = request.handler(event(r, 'viewer-request', {request: viewerRequest(r)}));
    if (left.statusCode) {
        for (const name in left.headers) {
            r.headersOut[name] = left.headers[name].value;
        }
        r.return(left.statusCode);
        return;
    }
    // A variable, because nginx would encode the path of a redirect once more.
    r.variables.left_uri = left.uri;
    r.internalRedirect(r.variables.first_origin);
}

function onResponse(r) {
    if (r.status >= 400) {
        return;
    }
    const before = multiValued(r.headersOut);
    const given = {statusCode: r.status, headers: multiValued(r.headersOut)};
    const more = {request: viewerRequest(r), response: given};
    const headers = response.handler(event(r, 'viewer-response', more)).headers;
    for (const name in headers) {
        // What is as it was stays untouched: nginx would say the charset of a type twice.
        if (!before[name] || before[name].value !== headers[name].value) {
            r.headersOut[name] = headers[name].value;
        }
    }
    for (const name in before) {
        if (!headers[name]) {
            delete r.headersOut[name];
        }
    }
}

export default {onRequest, onResponse};
