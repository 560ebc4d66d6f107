/* Cuts the power of a mounted ext4 file system: power_cut DIRECTORY
 *
 * From this call on nothing reaches the device, and the journal is not flushed: what the kernel
 * holds in memory is lost, as when the power fails. See EXT4_IOC_SHUTDOWN in fs/ext4/ext4.h and
 * ext4_force_shutdown() in fs/ext4/ioctl.c. Compiled and run by tests/it/power_cut.rs, in C because
 * the package forbids unsafe code.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define EXT4_GOING_FLAGS_NOLOGFLUSH 2

int main(int count, char **arguments)
{
    uint32_t flags = EXT4_GOING_FLAGS_NOLOGFLUSH;
    int directory = count == 2 ? open(arguments[1], O_RDONLY) : -1;
    if (directory < 0 || ioctl(directory, EXT4_IOC_SHUTDOWN, &flags) < 0) {
        perror("power_cut");
        return 1;
    }
    return 0;
}
