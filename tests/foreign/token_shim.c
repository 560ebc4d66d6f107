/* A PKCS#11 library that stands before SoftHSM and misbehaves on demand: the file FAULT says how.
 *   gone  every call that needs the token says that it was removed
 *   bend  one bit of each signature is wrong
 * Built by tests/token.rs with -DCONF=… -DFAULT=… -DMODULE=… The table of functions is that of
 * PKCS#11 2.40: a version of two bytes, then 68 pointers in a fixed order. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long rv;
struct table {
    unsigned char version[2];
    void *calls[68];
};
enum { GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, SIGN_INIT = 42, SIGN = 43 };
#define DEVICE_REMOVED 0x32UL

static struct table real, ours;

static int fault(const char *name) {
    char said[16] = {0};
    FILE *file = fopen(FAULT, "r");
    if (!file) return 0;
    size_t read = fread(said, 1, sizeof said - 1, file);
    fclose(file);
    return read >= strlen(name) && !strncmp(said, name, strlen(name));
}

static rv slots(unsigned char present, unsigned long *list, unsigned long *count) {
    if (fault("gone")) return DEVICE_REMOVED;
    return ((rv(*)(unsigned char, unsigned long *, unsigned long *))real.calls[GET_SLOT_LIST])(present, list, count);
}

static rv open_session(unsigned long slot, unsigned long flags, void *app, void *notify, unsigned long *session) {
    if (fault("gone")) return DEVICE_REMOVED;
    return ((rv(*)(unsigned long, unsigned long, void *, void *, unsigned long *))real.calls[OPEN_SESSION])(
        slot, flags, app, notify, session);
}

static rv sign_init(unsigned long session, void *mechanism, unsigned long key) {
    if (fault("gone")) return DEVICE_REMOVED;
    return ((rv(*)(unsigned long, void *, unsigned long))real.calls[SIGN_INIT])(session, mechanism, key);
}

static rv sign(unsigned long session, unsigned char *data, unsigned long length, unsigned char *signature,
               unsigned long *signature_length) {
    rv done = ((rv(*)(unsigned long, unsigned char *, unsigned long, unsigned char *, unsigned long *))real.calls[SIGN])(
        session, data, length, signature, signature_length);
    if (!done && signature && fault("bend")) signature[40] ^= 1;
    return done;
}

rv C_GetFunctionList(struct table **list) {
    setenv("SOFTHSM2_CONF", CONF, 1);
    void *module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    if (!module) return 5;
    rv (*get)(struct table **) = (rv(*)(struct table **))dlsym(module, "C_GetFunctionList");
    struct table *theirs;
    if (!get || get(&theirs)) return 5;
    real = ours = *theirs;
    ours.calls[GET_SLOT_LIST] = slots;
    ours.calls[OPEN_SESSION] = open_session;
    ours.calls[SIGN_INIT] = sign_init;
    ours.calls[SIGN] = sign;
    *list = &ours;
    return 0;
}
