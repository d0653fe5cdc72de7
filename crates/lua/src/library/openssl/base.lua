-- The functions of OpenSSL that modules here use, which AWS-LC brings, and how they fail.
--
-- Objects of C are typed pointers that free themselves. A string of a module's user is passed as it is: its bytes stay
-- where they are for the call.

local kit = ...
local ffi = require "ffi"
local rawset, setmetatable, string, tonumber = rawset, setmetatable, string, tonumber

-- Declared as libraries declare them, who may do so again.
ffi.cdef [[
typedef struct bignum_st BIGNUM;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct hmac_ctx_st HMAC_CTX;
typedef struct x509_st X509;
typedef struct X509_name_st X509_NAME;
typedef struct x509_store_st X509_STORE;
typedef struct stack_st OPENSSL_STACK;
]]

-- Types by result and arguments: p a pointer, s bytes, i int, z size_t, l long, n uint32_t, u uint64_t, v nothing.
local names = { p = "void *", s = "const void *", i = "int", z = "size_t", l = "long", u = "uint64_t",
    n = "uint32_t", v = "void" }

local types = {
    AES_set_encrypt_key = "isip", AES_set_decrypt_key = "isip", AES_wrap_key = "ipspsz", AES_unwrap_key = "ipspsz",
    EVP_sha1 = "p", EVP_get_digestbyname = "ps", EVP_MD_size = "zp", EVP_MD_type = "ip", EVP_MD_CTX_new = "p",
    EVP_MD_CTX_free = "vp", EVP_MD_CTX_copy_ex = "ipp", EVP_DigestInit_ex = "ippp", EVP_DigestUpdate = "ipsz",
    EVP_DigestFinal_ex = "ipsp", EVP_DigestSignInit = "ipsppp", EVP_DigestSign = "ipspsz",
    EVP_DigestVerifyInit = "ipsppp", EVP_DigestVerify = "ipszsz", EVP_DigestSignFinal = "ipsp",
    EVP_DigestVerifyFinal = "ipsz",
    HMAC_CTX_new = "p", HMAC_CTX_free = "vp", HMAC_Init_ex = "ipszpp", HMAC_Update = "ipsz", HMAC_Final = "ipsp",
    HMAC = "ppszszpp",
    EVP_get_cipherbyname = "ps", EVP_CIPHER_CTX_new = "p", EVP_CIPHER_CTX_free = "vp", EVP_CIPHER_CTX_reset = "ip",
    EVP_CIPHER_CTX_ctrl = "ipiis", EVP_CIPHER_CTX_set_padding = "ipi", EVP_CipherInit_ex = "ipppssi",
    EVP_CipherUpdate = "ipppsi", EVP_CipherFinal_ex = "ippp", EVP_CIPHER_key_length = "ip", EVP_CIPHER_iv_length = "ip",
    EVP_CIPHER_block_size = "ip", EVP_CIPHER_flags = "ip", EVP_BytesToKey = "ippssziss",
    PKCS5_PBKDF2_HMAC = "iszszipzp", EVP_PBE_scrypt = "iszszuuuzpz", HKDF = "ipzpszszsz", HKDF_extract = "ipppszsz",
    HKDF_expand = "ipzpszsz",
    RAND_bytes = "ipz", ERR_get_error = "n", ERR_peek_last_error = "n", ERR_clear_error = "v", ERR_error_string_n = "vnpz",
    BIO_new = "pp", BIO_s_mem = "p", BIO_new_mem_buf = "psi", BIO_free = "ip", BIO_mem_contents = "ippp",
    PEM_read_bio_PrivateKey = "ppppp", PEM_read_bio_PUBKEY = "ppppp", PEM_read_bio_X509 = "ppppp",
    PEM_read_bio_RSAPublicKey = "ppppp", PEM_write_bio_PrivateKey = "ipppsipp", PEM_write_bio_PUBKEY = "ipp",
    PEM_write_bio_X509 = "ipp", d2i_AutoPrivateKey = "pppl", d2i_PUBKEY = "pppl", d2i_X509 = "pppl", i2d_X509 = "ipp",
    i2d_PrivateKey = "ipp", i2d_PUBKEY = "ipp", i2d_PKCS8PrivateKey_bio = "ipppsipp", OPENSSL_free = "vp",
    EVP_PKEY_new = "p", EVP_PKEY_free = "vp", EVP_PKEY_up_ref = "ip", EVP_PKEY_id = "ip", EVP_PKEY_bits = "ip",
    EVP_PKEY_size = "ip", EVP_PKEY_CTX_new = "ppp", EVP_PKEY_CTX_new_id = "pip", EVP_PKEY_CTX_free = "vp",
    EVP_PKEY_keygen_init = "ip", EVP_PKEY_keygen = "ipp", EVP_PKEY_CTX_set_rsa_keygen_bits = "ipi",
    EVP_PKEY_CTX_set_ec_paramgen_curve_nid = "ipi", EVP_PKEY_CTX_set_rsa_padding = "ipi",
    EVP_PKEY_CTX_set_rsa_pss_saltlen = "ipi", EVP_PKEY_CTX_set_rsa_mgf1_md = "ipp", EVP_PKEY_CTX_set_rsa_oaep_md = "ipp",
    EVP_PKEY_CTX_set_signature_md = "ipp", EVP_PKEY_encrypt_init = "ip", EVP_PKEY_encrypt = "ippssz",
    EVP_PKEY_decrypt_init = "ip", EVP_PKEY_decrypt = "ippssz", EVP_PKEY_sign_init = "ip", EVP_PKEY_sign = "ippssz",
    EVP_PKEY_verify_init = "ip", EVP_PKEY_verify = "ipszsz", EVP_PKEY_verify_recover_init = "ip",
    EVP_PKEY_verify_recover = "ippssz", EVP_PKEY_derive_init = "ip", EVP_PKEY_derive_set_peer = "ipp",
    EVP_PKEY_derive = "ipps", EVP_PKEY_get0_RSA = "pp", EVP_PKEY_get0_EC_KEY = "pp", EVP_PKEY_assign_RSA = "ipp",
    EVP_PKEY_assign_EC_KEY = "ipp", EVP_PKEY_new_raw_private_key = "pipsz", EVP_PKEY_new_raw_public_key = "pipsz",
    EVP_PKEY_get_raw_private_key = "ipps", EVP_PKEY_get_raw_public_key = "ipps",
    RSA_new = "p", RSA_free = "vp", RSA_get0_key = "vpppp", RSA_get0_factors = "vppp", RSA_get0_crt_params = "vpppp",
    RSA_set0_key = "ipppp", RSA_set0_factors = "ippp", RSA_set0_crt_params = "ipppp",
    EC_KEY_free = "vp", EC_KEY_new_by_curve_name = "pi", EC_KEY_get0_group = "pp", EC_KEY_get0_private_key = "pp",
    EC_KEY_get0_public_key = "pp", EC_KEY_set_private_key = "ipp", EC_KEY_set_public_key = "ipp",
    EC_KEY_set_public_key_affine_coordinates = "ippp", EC_GROUP_get_curve_name = "ip", EC_GROUP_get_degree = "ip",
    EC_POINT_new = "pp", EC_POINT_free = "vp", EC_POINT_mul = "ippppsp",
    EC_POINT_get_affine_coordinates_GFp = "ippppp", ECDSA_SIG_new = "p",
    OBJ_txt2nid = "is", OBJ_nid2sn = "pi", OBJ_nid2ln = "pi", OBJ_obj2nid = "ip", OBJ_obj2txt = "ipipi",
    BN_new = "p", BN_free = "vp", BN_dup = "pp", BN_bin2bn = "pszp", BN_bn2bin = "zpp", BN_num_bits = "ip",
    BN_bn2hex = "pp", BN_bn2dec = "pp", BN_hex2bn = "ips", BN_dec2bn = "ips", BN_cmp = "ipp", BN_is_negative = "ip",
    BN_set_negative = "vpi", BN_is_zero = "ip", BN_is_one = "ip", BN_is_odd = "ip", BN_CTX_new = "p", BN_CTX_free = "vp",
    BN_add = "ippp", BN_sub = "ippp", BN_mul = "ipppp", BN_div = "ippppp", BN_exp = "ipppp", BN_sqr = "ippp",
    BN_gcd = "ipppp", BN_mod_add = "ippppp", BN_mod_sub = "ippppp", BN_mod_mul = "ippppp", BN_mod_exp = "ippppp",
    BN_mod_inverse = "ppppp", BN_lshift = "ippi", BN_rshift = "ippi", BN_is_prime_ex = "ipipp",
    BN_generate_prime_ex = "ipiippp",
    X509_free = "vp", X509_dup = "pp", X509_up_ref = "ip", X509_get_pubkey = "pp", X509_get_subject_name = "pp",
    X509_get_issuer_name = "pp", X509_get_serialNumber = "pp", X509_get_version = "lp", X509_get0_notBefore = "pp",
    X509_get0_notAfter = "pp", X509_digest = "ipppp", X509_pubkey_digest = "ipppp", X509_check_private_key = "ipp",
    X509_check_host = "ipszip", X509_verify = "ipp", X509_get_ext_d2i = "ppipp", X509_get_signature_nid = "ip",
    X509_NAME_entry_count = "ip", X509_NAME_get_entry = "ppi", X509_NAME_ENTRY_get_object = "pp",
    X509_NAME_ENTRY_get_data = "pp", ASN1_STRING_length = "ip", ASN1_STRING_get0_data = "pp",
    ASN1_INTEGER_to_BN = "ppp", ASN1_TIME_to_posix = "ipp", GENERAL_NAMES_free = "vp", GENERAL_NAME_get0_value = "ppp",
    X509_STORE_new = "p", X509_STORE_free = "vp", X509_STORE_add_cert = "ipp", X509_STORE_load_locations = "ipss",
    X509_STORE_set_default_paths = "ip", X509_STORE_CTX_new = "p", X509_STORE_CTX_free = "vp",
    X509_STORE_CTX_init = "ipppp", X509_STORE_CTX_get_error = "ip", X509_verify_cert = "ip",
    X509_verify_cert_error_string = "pl",
    OPENSSL_sk_new_null = "p", OPENSSL_sk_free = "vp", OPENSSL_sk_num = "zp", OPENSSL_sk_push = "zpp",
    OPENSSL_sk_value = "ppz",
    X509_get1_ocsp = "pp", X509_email_free = "vp", X509_check_issued = "ipp",
    OCSP_REQUEST_new = "p", OCSP_REQUEST_free = "vp", OCSP_cert_to_id = "pppp", OCSP_CERTID_free = "vp",
    OCSP_request_add0_id = "ppp", i2d_OCSP_REQUEST = "ipp", d2i_OCSP_RESPONSE = "pppl", OCSP_RESPONSE_free = "vp",
    OCSP_response_status = "ip", OCSP_response_status_str = "pl", OCSP_response_get1_basic = "pp",
    OCSP_BASICRESP_free = "vp", OCSP_basic_verify = "ipppl", OCSP_resp_find_status = "ippppppp",
    OCSP_cert_status_str = "pl", OCSP_check_validity = "ippll",
    OpenSSL_version = "pi", OpenSSL_version_num = "l",
}

-- Functions are looked up when they are used first.
local openssl = setmetatable({}, {
    __index = function(self, name)
        local letters = types[name]
        if not letters then
            return nil
        end
        local arguments = {}
        for letter in string.gmatch(string.sub(letters, 2), ".") do
            arguments[#arguments + 1] = names[letter]
        end
        local ctype = names[string.sub(letters, 1, 1)] .. "(*)(" .. (arguments[1] and table.concat(arguments, ", ") or "void") .. ")"
        local found = kit.symbol(name, ctype)
        rawset(self, name, found)
        return found
    end,
})

openssl.null = ffi.cast("void *", 0)

-- A pointer of a type that frees what it points to, or nil for a null pointer.
function openssl.own(ctype, pointer, free)
    if pointer == nil then
        return nil
    end
    return ffi.gc(ffi.cast(ctype, pointer), openssl[free])
end

function openssl.text(pointer)
    return pointer ~= nil and ffi.string(ffi.cast("const char *", pointer)) or nil
end

-- `what`, and why it failed if OpenSSL says so. Forgets the reasons.
function openssl.failure(what)
    local code = openssl.ERR_peek_last_error()
    openssl.ERR_clear_error()
    if code == 0 then
        return what .. ": failed"
    end
    local buffer = ffi.new("char[?]", 256)
    openssl.ERR_error_string_n(code, buffer, 256)
    return what .. ": " .. ffi.string(buffer)
end

local aliases = { rmd160 = "ripemd160" }
-- Digests by their names in lower case; there are not many.
local digests = {}

-- The digest of a name like `sha256` or `SHA-256`, or nil.
function openssl.digest_named(name)
    name = string.lower(name)
    local known = digests[name]
    if known then
        return known
    end
    local found = openssl.EVP_get_digestbyname(aliases[name] or (string.gsub(name, "^sha%-", "sha")))
    if found == nil then
        return nil
    end
    digests[name] = found
    return found
end

function openssl.digest_size(kind)
    return tonumber(openssl.EVP_MD_size(kind))
end

function openssl.new_digest()
    return openssl.own("EVP_MD_CTX *", openssl.EVP_MD_CTX_new(), "EVP_MD_CTX_free")
end

function openssl.new_cipher()
    return openssl.own("EVP_CIPHER_CTX *", openssl.EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_free")
end

local modes = { ecb = 1, cbc = 1, cfb1 = 1, cfb8 = 1, cfb128 = 1, ofb = 1, ctr = 1, gcm = 1 }

-- AES by the size of its key in bits and its mode, or nil.
function openssl.aes(size, mode)
    if (size == 128 or size == 192 or size == 256) and modes[mode] then
        return kit.symbol("EVP_aes_" .. size .. "_" .. mode, "void *(*)(void)")()
    end
    return nil
end

-- What a function writes to memory that it is given, as a string; nil if it fails.
function openssl.written(write)
    local memory = ffi.gc(openssl.BIO_new(openssl.BIO_s_mem()), openssl.BIO_free)
    if write(memory) ~= 1 then
        return nil
    end
    local data, length = ffi.new "const char *[1]", ffi.new "size_t[1]"
    if openssl.BIO_mem_contents(memory, data, length) ~= 1 then
        return nil
    end
    return ffi.string(data[0], length[0])
end

-- What an i2d function makes of an object.
function openssl.der(name, object)
    local out = ffi.new "unsigned char *[1]"
    local length = openssl[name](object, out)
    if length < 0 then
        return nil
    end
    local der = ffi.string(out[0], length)
    openssl.OPENSSL_free(out[0])
    return der
end

-- A source to read `text` from.
function openssl.reader(text)
    return ffi.gc(openssl.BIO_new_mem_buf(text, #text), openssl.BIO_free)
end

-- A big-endian number without leading zeros, or filled up to `size` bytes.
function openssl.number_bytes(number, size)
    local length = math.floor((openssl.BN_num_bits(number) + 7) / 8)
    local buffer = ffi.new("unsigned char[?]", length + 1)
    openssl.BN_bn2bin(number, buffer)
    local bytes = ffi.string(buffer, length)
    return size and string.rep("\0", size - length) .. bytes or bytes
end

return openssl
