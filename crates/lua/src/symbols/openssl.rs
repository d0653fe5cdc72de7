//! Functions of OpenSSL under their own names, which AWS-LC has under others.
//!
//! Each is one jump, so it takes and answers whatever the function behind it does.

use std::{arch::naked_asm, ffi::c_void};

use super::Function;

/// Sets an option of a key's context by its number, which AWS-LC does by functions only: those of RSA's padding.
// SAFETY: no other function of the program has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn EVP_PKEY_CTX_ctrl(
    context: *mut aws_lc_sys::EVP_PKEY_CTX,
    _key_type: i32,
    _operation: i32,
    option: i32,
    number: i32,
    pointer: *mut c_void,
) -> i32 {
    const PADDING: i32 = 0x1001;
    const SALT_LENGTH: i32 = 0x1002;
    const MASK_DIGEST: i32 = 0x1005;
    const OAEP_DIGEST: i32 = 0x1009;
    // SAFETY: as in OpenSSL, the context is one, and the pointer what its option takes.
    unsafe {
        match option {
            PADDING => aws_lc_sys::EVP_PKEY_CTX_set_rsa_padding(context, number),
            SALT_LENGTH => aws_lc_sys::EVP_PKEY_CTX_set_rsa_pss_saltlen(context, number),
            MASK_DIGEST => aws_lc_sys::EVP_PKEY_CTX_set_rsa_mgf1_md(context, pointer.cast()),
            OAEP_DIGEST => aws_lc_sys::EVP_PKEY_CTX_set_rsa_oaep_md(context, pointer.cast()),
            _ => -2,
        }
    }
}

/// Keeps functions of this file that are no jumps in every program that has a VM.
pub(super) static OWN: unsafe extern "C" fn(
    *mut aws_lc_sys::EVP_PKEY_CTX,
    i32,
    i32,
    i32,
    i32,
    *mut c_void,
) -> i32 = EVP_PKEY_CTX_ctrl;

macro_rules! forward {
    ($($name:ident)*) => {
        $(
            // SAFETY: no other function of the program has this name: OpenSSL is not part of it. The jump leaves
            // registers and stack as the caller has set them up for the function behind it.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                naked_asm!("jmp {}", sym aws_lc_sys::$name);
                #[cfg(target_arch = "aarch64")]
                naked_asm!("b {}", sym aws_lc_sys::$name);
            }
        )*

        /// All of them.
        pub(super) static FUNCTIONS: &[(&str, Function)] = &[$((stringify!($name), $name)),*];
    };
}

forward! {
    AES_set_decrypt_key AES_set_encrypt_key AES_unwrap_key AES_wrap_key
    ASN1_INTEGER_to_BN ASN1_STRING_get0_data ASN1_STRING_length ASN1_STRING_to_UTF8 ASN1_TIME_to_posix
    BIO_free BIO_get_mem_ptr BIO_mem_contents BIO_new BIO_new_mem_buf BIO_puts BIO_read BIO_s_mem BIO_vfree BIO_write
    BN_add BN_bin2bn BN_bn2bin BN_bn2dec BN_bn2hex BN_cmp BN_CTX_free BN_CTX_new BN_dec2bn BN_div BN_dup BN_exp
    BN_free BN_gcd BN_generate_prime_ex BN_hex2bn BN_is_negative BN_is_odd BN_is_zero BN_mod_add BN_mod_exp
    BN_mod_inverse BN_mod_mul BN_mod_sub BN_mul BN_new BN_num_bits BN_set_negative BN_set_word BN_sqr BN_sub
    BN_lshift BN_rshift BN_is_one BN_is_prime_ex
    CRYPTO_memcmp
    ECDSA_SIG_free ECDSA_SIG_new EC_GROUP_get_curve_name EC_GROUP_get_degree EC_GROUP_get_order EC_KEY_free
    EC_KEY_get0_group EC_KEY_get0_private_key EC_KEY_get0_public_key EC_KEY_new_by_curve_name
    EC_KEY_set_private_key EC_KEY_set_public_key_affine_coordinates EC_POINT_get_affine_coordinates_GFp EC_POINT_free
    EC_POINT_new EC_POINT_mul EC_KEY_set_public_key
    ERR_clear_error ERR_error_string_n ERR_get_error ERR_peek_error ERR_peek_last_error ERR_reason_error_string
    EVP_BytesToKey EVP_CIPHER_CTX_block_size EVP_CIPHER_CTX_ctrl EVP_CIPHER_CTX_free EVP_CIPHER_CTX_new
    EVP_CIPHER_CTX_reset EVP_CIPHER_CTX_set_padding EVP_CIPHER_block_size EVP_CIPHER_flags EVP_CIPHER_iv_length
    EVP_CIPHER_key_length EVP_CIPHER_mode EVP_CipherFinal_ex EVP_CipherInit_ex EVP_CipherUpdate EVP_DecryptFinal_ex
    EVP_DecryptInit_ex EVP_DecryptUpdate EVP_DigestFinal_ex EVP_DigestInit_ex EVP_DigestSign EVP_DigestSignFinal
    EVP_DigestSignInit EVP_DigestUpdate EVP_DigestVerify EVP_DigestVerifyFinal EVP_DigestVerifyInit
    EVP_EncryptFinal_ex EVP_EncryptInit_ex EVP_EncryptUpdate EVP_MD_CTX_copy_ex EVP_MD_CTX_create
    EVP_MD_CTX_destroy EVP_MD_CTX_free EVP_MD_CTX_new EVP_MD_size EVP_MD_type EVP_PBE_scrypt EVP_PKEY_CTX_free
    EVP_PKEY_CTX_new EVP_PKEY_CTX_new_id EVP_PKEY_CTX_set_rsa_keygen_bits EVP_PKEY_CTX_set_rsa_mgf1_md
    EVP_PKEY_CTX_set_rsa_oaep_md EVP_PKEY_CTX_set_rsa_padding EVP_PKEY_CTX_set_rsa_pss_saltlen
    EVP_PKEY_CTX_set_signature_md EVP_PKEY_CTX_set_ec_paramgen_curve_nid EVP_PKEY_assign_EC_KEY
    EVP_PKEY_assign_RSA EVP_PKEY_base_id EVP_PKEY_bits EVP_PKEY_cmp EVP_PKEY_decrypt EVP_PKEY_decrypt_init
    EVP_PKEY_derive EVP_PKEY_derive_init EVP_PKEY_derive_set_peer EVP_PKEY_encrypt EVP_PKEY_encrypt_init
    EVP_PKEY_free EVP_PKEY_get0_EC_KEY EVP_PKEY_get0_RSA EVP_PKEY_get_raw_private_key EVP_PKEY_get_raw_public_key
    EVP_PKEY_id EVP_PKEY_keygen EVP_PKEY_keygen_init EVP_PKEY_new EVP_PKEY_new_raw_private_key
    EVP_PKEY_new_raw_public_key EVP_PKEY_set1_EC_KEY EVP_PKEY_set1_RSA EVP_PKEY_sign EVP_PKEY_sign_init
    EVP_PKEY_size EVP_PKEY_up_ref EVP_PKEY_verify EVP_PKEY_verify_init EVP_PKEY_verify_recover
    EVP_PKEY_verify_recover_init
    EVP_aes_128_cbc EVP_aes_128_cfb1 EVP_aes_128_cfb128 EVP_aes_128_cfb8 EVP_aes_128_ctr EVP_aes_128_ecb
    EVP_aes_128_gcm EVP_aes_128_ofb EVP_aes_192_cbc EVP_aes_192_cfb1 EVP_aes_192_cfb128 EVP_aes_192_cfb8
    EVP_aes_192_ctr EVP_aes_192_ecb EVP_aes_192_gcm EVP_aes_192_ofb EVP_aes_256_cbc EVP_aes_256_cfb1
    EVP_aes_256_cfb128 EVP_aes_256_cfb8 EVP_aes_256_ctr EVP_aes_256_ecb EVP_aes_256_gcm EVP_aes_256_ofb
    EVP_get_cipherbyname EVP_get_digestbyname EVP_md5 EVP_sha1 EVP_sha224 EVP_sha256 EVP_sha384 EVP_sha512
    HKDF HKDF_expand HKDF_extract
    HMAC HMAC_CTX_copy_ex HMAC_CTX_free HMAC_CTX_new HMAC_Final HMAC_Init_ex HMAC_Update
    MD5_Final MD5_Init MD5_Update
    OCSP_BASICRESP_free OCSP_CERTID_free OCSP_REQUEST_free OCSP_REQUEST_new OCSP_RESPONSE_free OCSP_basic_verify
    OCSP_cert_status_str OCSP_cert_to_id OCSP_check_validity OCSP_request_add0_id OCSP_resp_find_status
    OCSP_response_get1_basic OCSP_response_status OCSP_response_status_str
    OBJ_nid2sn OBJ_nid2ln OBJ_obj2nid OBJ_obj2txt OBJ_txt2nid OBJ_txt2obj ASN1_OBJECT_free
    OPENSSL_free OPENSSL_sk_free OPENSSL_sk_new_null OPENSSL_sk_num OPENSSL_sk_push OPENSSL_sk_value
    OpenSSL_version OpenSSL_version_num
    PEM_read_bio_ECPrivateKey PEM_read_bio_PUBKEY PEM_read_bio_PrivateKey PEM_read_bio_RSAPrivateKey
    PEM_read_bio_RSAPublicKey PEM_read_bio_X509 PEM_write_bio_PUBKEY PEM_write_bio_PrivateKey PEM_write_bio_X509
    PKCS5_PBKDF2_HMAC PKCS5_PBKDF2_HMAC_SHA1
    RAND_bytes RAND_pseudo_bytes
    RSA_free RSA_get0_crt_params RSA_get0_factors RSA_get0_key RSA_new RSA_set0_crt_params RSA_set0_factors
    RSA_set0_key RSA_size
    SHA1_Final SHA1_Init SHA1_Update SHA224_Final SHA224_Init SHA224_Update SHA256_Final SHA256_Init SHA256_Update
    SHA384_Final SHA384_Init SHA384_Update SHA512_Final SHA512_Init SHA512_Update
    X509_NAME_ENTRY_get_data X509_NAME_ENTRY_get_object X509_NAME_entry_count X509_NAME_get_entry X509_NAME_oneline
    X509_STORE_CTX_cleanup X509_STORE_CTX_free X509_STORE_CTX_get_error X509_STORE_CTX_init X509_STORE_CTX_new
    X509_STORE_add_cert X509_STORE_free X509_STORE_load_locations X509_STORE_new X509_STORE_set_default_paths
    X509_STORE_up_ref X509_check_email X509_check_issued X509_email_free X509_get1_ocsp X509_check_host X509_check_ip_asc X509_check_private_key X509_digest X509_dup
    X509_free X509_get0_notAfter X509_get0_notBefore X509_get_ext_d2i X509_get_issuer_name X509_get_pubkey
    X509_get_serialNumber X509_get_subject_name X509_get_version X509_pubkey_digest X509_up_ref X509_verify
    X509_verify_cert X509_verify_cert_error_string X509_get_signature_nid
    GENERAL_NAMES_free GENERAL_NAME_get0_value
    d2i_AutoPrivateKey d2i_ECDSA_SIG d2i_PUBKEY d2i_PUBKEY_bio d2i_PrivateKey d2i_X509 d2i_X509_bio
    d2i_OCSP_RESPONSE i2d_OCSP_REQUEST i2d_ECDSA_SIG i2d_PUBKEY i2d_PrivateKey i2d_X509 i2d_PKCS8PrivateKey_bio
}
