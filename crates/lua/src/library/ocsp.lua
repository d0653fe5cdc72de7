-- ngx.ocsp: what an authority says of a certificate: whom to ask, what to ask, what to make of the answer.
--
-- A chain is certificates in DER, one behind the other: the server's own, then that of who issued it.

local kit = ...

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local error, sub, tonumber = error, string.sub, tonumber
local choosing_staple, host, NO_REQUEST, MISSING = kit.C.choosing_staple, kit.host, kit.NO_REQUEST, kit.MISSING

-- Bytes of what functions answer, unless they are told.
local MOST = 4096
local SUCCESSFUL, GOOD = 0, 0
-- Signatures count, whoever is trusted: who issued the certificate is given.
local NO_CHAIN = 0x10
-- Seconds by which clocks may differ.
local SKEW = 300
local NO_STATUS_REQUEST = 5

local module = { version = "0.1.31" }

-- What a d2i function reads from and moves on.
local function reader(text)
    local at = ffi.new "const char *[1]"
    at[0] = text
    return at
end

-- The next certificate at `at`, if there is one.
local function next_certificate(at, finish)
    local left = finish - at[0]
    if left <= 0 then
        return nil, "no issuer certificate in chain"
    end
    local found = openssl.d2i_X509(nil, at, left)
    openssl.ERR_clear_error()
    if found == nil then
        return nil, "d2i_X509_bio() failed"
    end
    return ffi.gc(found, openssl.X509_free)
end

-- The first certificate, and a function that finds who issued it; or nil and why not.
local function read(chain)
    local at = reader(chain)
    local finish = at[0] + #chain
    local own = next_certificate(at, finish)
    if not own then
        return nil, "d2i_X509_bio() failed"
    end
    return own, function()
        return next_certificate(at, finish)
    end
end

-- The first certificate, and who issued it; or nil and why there are not both.
local function read_pair(chain)
    local certificate, issuer = read(chain)
    if not certificate then
        return nil, issuer
    end
    local found, why = issuer()
    if not found then
        return nil, why
    end
    return certificate, found
end

local function own(pointer, free)
    return pointer ~= nil and ffi.gc(pointer, openssl[free]) or nil
end

function module.get_ocsp_responder_from_der_chain(chain, most)
    local certificate, issuer = read(chain)
    if not certificate then
        return nil, issuer
    end
    local all = own(openssl.X509_get1_ocsp(certificate), "X509_email_free")
    if not all or openssl.OPENSSL_sk_num(all) == 0 then
        return nil
    end
    local url = openssl.text(openssl.OPENSSL_sk_value(all, 0))
    local found, why = issuer()
    if not found then
        return nil, why
    end
    if openssl.X509_check_issued(found, certificate) ~= 0 then
        return nil, "issuer certificate not next to leaf"
    end
    most = most or MOST
    if #url > most then
        return sub(url, 1, most), "truncated"
    end
    return url
end

function module.create_ocsp_request(chain, most)
    local certificate, issuer = read_pair(chain)
    if not certificate then
        return nil, issuer
    end
    local request = own(openssl.OCSP_REQUEST_new(), "OCSP_REQUEST_free")
    local id = openssl.OCSP_cert_to_id(nil, certificate, issuer)
    openssl.ERR_clear_error()
    if id == nil then
        return nil, "OCSP_cert_to_id() failed"
    end
    if openssl.OCSP_request_add0_id(request, id) == nil then
        openssl.OCSP_CERTID_free(id)
        return nil, "OCSP_request_add0_id() failed"
    end
    local der = openssl.der("i2d_OCSP_REQUEST", request)
    if not der then
        return nil, "i2d_OCSP_REQUEST() failed"
    end
    most = most or MOST
    if #der > most then
        return nil, "output buffer too small: " .. #der .. " > " .. most
    end
    return der
end

-- When the authority is going to say more; or nil and what is wrong with what it said.
local function validate(response, chain)
    local parsed = own(openssl.d2i_OCSP_RESPONSE(nil, reader(response), #response), "OCSP_RESPONSE_free")
    if not parsed then
        return nil, "d2i_OCSP_RESPONSE() failed"
    end
    local status = openssl.OCSP_response_status(parsed)
    if status ~= SUCCESSFUL then
        local text = openssl.text(openssl.OCSP_response_status_str(status))
        return nil, "OCSP response not successful (" .. status .. ": " .. text .. ")"
    end
    local basic = own(openssl.OCSP_response_get1_basic(parsed), "OCSP_BASICRESP_free")
    if not basic then
        return nil, "OCSP_response_get1_basic() failed"
    end
    local certificate, issuer = read_pair(chain)
    if not certificate then
        return nil, issuer
    end
    local signers = own(openssl.OPENSSL_sk_new_null(), "OPENSSL_sk_free")
    openssl.OPENSSL_sk_push(signers, issuer)
    local nobody = own(openssl.X509_STORE_new(), "X509_STORE_free")
    if openssl.OCSP_basic_verify(basic, signers, nobody, NO_CHAIN) ~= 1 then
        return nil, "OCSP_basic_verify() failed"
    end
    local id = own(openssl.OCSP_cert_to_id(nil, certificate, issuer), "OCSP_CERTID_free")
    if not id then
        return nil, "OCSP_cert_to_id() failed"
    end
    local verdict, times = ffi.new "int[1]", ffi.new "void *[2]"
    if openssl.OCSP_resp_find_status(basic, id, verdict, nil, nil, times, times + 1) ~= 1 then
        return nil, "certificate status not found in the OCSP response"
    end
    if verdict[0] ~= GOOD then
        return nil, 'certificate status "' .. openssl.text(openssl.OCSP_cert_status_str(verdict[0])) .. '" in the OCSP response'
    end
    if openssl.OCSP_check_validity(times[0], times[1], SKEW, -1) ~= 1 then
        return nil, "OCSP_check_validity() failed"
    end
    if times[1] == nil then
        return true
    end
    local seconds = ffi.new "int64_t[1]"
    if openssl.ASN1_TIME_to_posix(times[1], seconds) ~= 1 then
        return nil, "invalid nextUpdate time in certificate status"
    end
    return true, tonumber(seconds[0])
end

function module.validate_ocsp_response(response, chain, most)
    local ok, more = validate(response, chain)
    openssl.ERR_clear_error()
    if not ok then
        return nil, sub(more, 1, most or MOST)
    end
    return true, more
end

function module.set_ocsp_status_resp(response)
    local code = choosing_staple(host, response, #response)
    if code == 0 then
        return true
    elseif code == NO_STATUS_REQUEST then
        return true, "no status req"
    elseif code == NO_REQUEST then
        error("no request found", 2)
    elseif code == MISSING then
        return nil
    end
    return nil, code == 1 and "bad request" or "API disabled in the current context"
end

return module
