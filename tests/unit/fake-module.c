/* SPDX-License-Identifier: Apache-2.0 */
/* SoftHSM with a C_Decrypt, C_GetTokenInfo or C_Login that does what a file says ($FAKE_MODULE_DO, "C_Decrypt=hang"): hang, crash,
 * or a return value. Without the file, or with another name in it, it is SoftHSM. Built by tests/unit/worker-pkcs11. */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

static CK_FUNCTION_LIST *real, list;

/* CKR_OK: go on. */
static CK_RV told(const char *name) {
        char text[128] = "", *value;
        const char *path = getenv("FAKE_MODULE_DO");
        int fd = path ? open(path, O_RDONLY|O_CLOEXEC) : -1;
        ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

        close(fd);
        if (n <= 0 || !(value = strchr(text, '=')) || (size_t) (value - text) != strlen(name) || strncmp(text, name, strlen(name)) != 0)
                return CKR_OK;
        value++;
        if (strncmp(value, "hang", 4) == 0)
                for (;;)
                        pause();
        if (strncmp(value, "crash", 5) == 0)
                *(volatile char *) 16 = 0;
        return strtoul(value, NULL, 16);
}

static CK_RV decrypt(CK_SESSION_HANDLE s, unsigned char *in, CK_ULONG n, unsigned char *out, CK_ULONG *ret) {
        CK_RV rv = told("C_Decrypt");

        return rv == CKR_OK ? real->C_Decrypt(s, in, n, out, ret) : rv;
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *i) {
        CK_RV rv = told("C_GetTokenInfo");

        return rv == CKR_OK ? real->C_GetTokenInfo(slot, i) : rv;
}

static CK_RV login(CK_SESSION_HANDLE s, CK_USER_TYPE user, unsigned char *pin, CK_ULONG n) {
        CK_RV rv = told("C_Login");

        return rv == CKR_OK ? real->C_Login(s, user, pin, n) : rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret) {
        void *so = dlopen(SOFTHSM, RTLD_NOW|RTLD_LOCAL);
        CK_C_GetFunctionList get = so ? (CK_C_GetFunctionList) dlsym(so, "C_GetFunctionList") : NULL;

        if (!get || get(&real) != CKR_OK)
                return CKR_GENERAL_ERROR;
        list = *real;
        list.C_Decrypt = decrypt;
        list.C_GetTokenInfo = token_info;
        list.C_Login = login;
        *ret = &list;
        return CKR_OK;
}
