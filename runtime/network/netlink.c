#include "runtime/network/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/cleanup.h"

enum { REQUEST_SIZE_MAX = 1024, REPLY_SIZE_MAX = 16384 };

/* A request that is being written; the kernel's alignment rules are those of NLMSG_ALIGN. */
struct request {
    union {
        struct nlmsghdr header;
        uint8_t bytes[REQUEST_SIZE_MAX];
    };
};

static void *reserve(struct request *request, size_t size)
{
    size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
    CHECK(at + NLMSG_ALIGN(size) <= sizeof(request->bytes));
    request->header.nlmsg_len = (uint32_t)(at + size);
    memset(request->bytes + at, 0, NLMSG_ALIGN(size));
    return request->bytes + at;
}

static void begin(struct request *request, uint16_t type, uint16_t flags, const void *payload,
                  size_t size)
{
    memset(&request->header, 0, sizeof(request->header));
    request->header.nlmsg_len = NLMSG_HDRLEN;
    request->header.nlmsg_type = type;
    request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(reserve(request, size), payload, size);
}

static struct rtattr *put(struct request *request, unsigned type, const void *data, size_t size)
{
    struct rtattr *attribute = reserve(request, RTA_LENGTH(size));
    attribute->rta_type = (unsigned short)type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    if (size > 0) {
        memcpy(RTA_DATA(attribute), data, size);
    }
    return attribute;
}

static void put_u32(struct request *request, unsigned type, uint32_t value)
{
    put(request, type, &value, sizeof(value));
}

static void put_text(struct request *request, unsigned type, const char *text)
{
    put(request, type, text, strlen(text) + 1);
}

static struct rtattr *nest_begin(struct request *request, unsigned type)
{
    return put(request, type, NULL, 0);
}

static void nest_end(struct request *request, struct rtattr *nest)
{
    nest->rta_len = (unsigned short)(request->bytes + request->header.nlmsg_len - (uint8_t *)nest);
}

/* Send, and read up to the acknowledgement; the first data message is copied to *reply if wanted.
 */
static int transact(int fd, struct request *request, void *reply, size_t reply_size)
{
    if (send(fd, request->bytes, request->header.nlmsg_len, 0) < 0) {
        return -errno;
    }
    for (;;) {
        _Alignas(struct nlmsghdr) uint8_t buffer[REPLY_SIZE_MAX];
        ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return -errno;
        }
        size_t left = (size_t)size;
        for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *error = NLMSG_DATA(message);
                return error->error;
            }
            if (reply != NULL && message->nlmsg_len <= reply_size) {
                memcpy(reply, message, message->nlmsg_len);
                reply = NULL;
            }
        }
    }
}

static int open_socket(int protocol)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int saved = errno;
        (void)close(fd);
        return -saved;
    }
    return fd >= 0 ? fd : -errno;
}

int netlink_open(int netns_fd, int *ret_fd, struct err *err)
{
    if (netns_fd < 0) {
        int fd = open_socket(NETLINK_ROUTE);
        if (fd < 0) {
            return err_set_errno(err, -fd, "open a netlink socket");
        }
        *ret_fd = fd;
        return 0;
    }
    CLEANUP(close_fd) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(netns_fd, CLONE_NEWNET) != 0) {
        return err_set_errno(err, errno, "enter a network namespace");
    }
    int fd = open_socket(NETLINK_ROUTE);
    /* Going on in the wrong namespace would change somebody else's network. */
    CHECK(setns(own, CLONE_NEWNET) == 0);
    if (fd < 0) {
        return err_set_errno(err, -fd, "open a netlink socket");
    }
    *ret_fd = fd;
    return 0;
}

int netlink_link_index(int fd, const char *name, uint32_t *ret_index)
{
    struct request request;
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
        uint8_t rest[REPLY_SIZE_MAX];
    } reply = {.header = {.nlmsg_len = 0}};
    begin(&request, RTM_GETLINK, 0, &info, sizeof(info));
    put_text(&request, IFLA_IFNAME, name);
    int status = transact(fd, &request, &reply, sizeof(reply));
    if (status == 0) {
        *ret_index = (uint32_t)reply.info.ifi_index;
    }
    return status;
}

int netlink_bridge_add(int fd, const char *name, uint32_t mtu)
{
    struct request request;
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    put_text(&request, IFLA_IFNAME, name);
    if (mtu != 0) {
        put_u32(&request, IFLA_MTU, mtu);
    }
    struct rtattr *link = nest_begin(&request, IFLA_LINKINFO);
    put_text(&request, IFLA_INFO_KIND, "bridge");
    nest_end(&request, link);
    return transact(fd, &request, NULL, 0);
}

int netlink_veth_add(int fd, const char *name, uint32_t master, const char *peer_name, int netns_fd,
                     const uint8_t peer_mac[6], uint32_t mtu)
{
    struct request request;
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct ifinfomsg peer_info = {.ifi_family = AF_UNSPEC};
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    put_text(&request, IFLA_IFNAME, name);
    put_u32(&request, IFLA_MASTER, master);
    if (mtu != 0) {
        put_u32(&request, IFLA_MTU, mtu);
    }
    struct rtattr *link = nest_begin(&request, IFLA_LINKINFO);
    put_text(&request, IFLA_INFO_KIND, "veth");
    struct rtattr *data = nest_begin(&request, IFLA_INFO_DATA);
    struct rtattr *peer = put(&request, VETH_INFO_PEER, &peer_info, sizeof(peer_info));
    put_text(&request, IFLA_IFNAME, peer_name);
    put(&request, IFLA_ADDRESS, peer_mac, 6);
    put_u32(&request, IFLA_NET_NS_FD, (uint32_t)netns_fd);
    if (mtu != 0) {
        put_u32(&request, IFLA_MTU, mtu);
    }
    nest_end(&request, peer);
    nest_end(&request, data);
    nest_end(&request, link);
    return transact(fd, &request, NULL, 0);
}

int netlink_vxlan_add(int fd, const char *name, uint32_t vni, uint32_t local_address, uint16_t port,
                      uint32_t master)
{
    struct request request;
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    put_text(&request, IFLA_IFNAME, name);
    put_u32(&request, IFLA_MASTER, master);
    struct rtattr *link = nest_begin(&request, IFLA_LINKINFO);
    put_text(&request, IFLA_INFO_KIND, "vxlan");
    struct rtattr *data = nest_begin(&request, IFLA_INFO_DATA);
    put_u32(&request, IFLA_VXLAN_ID, vni);
    put_u32(&request, IFLA_VXLAN_LOCAL, htonl(local_address));
    uint16_t wire_port = htons(port);
    put(&request, IFLA_VXLAN_PORT, &wire_port, sizeof(wire_port));
    uint8_t learns = 1;
    put(&request, IFLA_VXLAN_LEARNING, &learns, sizeof(learns));
    nest_end(&request, data);
    nest_end(&request, link);
    return transact(fd, &request, NULL, 0);
}

int netlink_link_up(int fd, uint32_t index)
{
    struct request request;
    struct ifinfomsg info = {
        .ifi_family = AF_UNSPEC,
        .ifi_index = (int)index,
        .ifi_flags = IFF_UP,
        .ifi_change = IFF_UP,
    };
    begin(&request, RTM_NEWLINK, 0, &info, sizeof(info));
    return transact(fd, &request, NULL, 0);
}

int netlink_link_delete(int fd, const char *name)
{
    struct request request;
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
    begin(&request, RTM_DELLINK, 0, &info, sizeof(info));
    put_text(&request, IFLA_IFNAME, name);
    return transact(fd, &request, NULL, 0);
}

int netlink_port_hairpin(int fd, uint32_t index)
{
    struct request request;
    struct ifinfomsg info = {.ifi_family = AF_BRIDGE, .ifi_index = (int)index};
    uint8_t is_on = 1;
    begin(&request, RTM_SETLINK, 0, &info, sizeof(info));
    struct rtattr *port = nest_begin(&request, IFLA_PROTINFO | NLA_F_NESTED);
    put(&request, IFLA_BRPORT_MODE, &is_on, sizeof(is_on));
    nest_end(&request, port);
    return transact(fd, &request, NULL, 0);
}

static uint32_t mask_of(uint8_t prefix_size)
{
    return prefix_size == 0 ? 0 : UINT32_MAX << (32 - prefix_size);
}

int netlink_address_add(int fd, uint32_t index, uint32_t address, uint8_t prefix_size)
{
    struct request request;
    struct ifaddrmsg info = {
        .ifa_family = AF_INET,
        .ifa_prefixlen = prefix_size,
        .ifa_index = index,
    };
    begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
    put_u32(&request, IFA_LOCAL, htonl(address));
    put_u32(&request, IFA_ADDRESS, htonl(address));
    put_u32(&request, IFA_BROADCAST, htonl(address | ~mask_of(prefix_size)));
    return transact(fd, &request, NULL, 0);
}

static void begin_route(struct request *request, uint16_t type, uint16_t flags, uint8_t prefix_size)
{
    struct rtmsg info = {
        .rtm_family = AF_INET,
        .rtm_dst_len = prefix_size,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_UNIVERSE,
        .rtm_type = RTN_UNICAST,
    };
    begin(request, type, flags, &info, sizeof(info));
}

int netlink_route_set(int fd, uint32_t destination, uint8_t prefix_size, uint32_t gateway,
                      uint32_t index)
{
    struct request request;
    begin_route(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, prefix_size);
    if (prefix_size > 0) {
        put_u32(&request, RTA_DST, htonl(destination));
    }
    put_u32(&request, RTA_GATEWAY, htonl(gateway));
    if (index != 0) {
        put_u32(&request, RTA_OIF, index);
    }
    return transact(fd, &request, NULL, 0);
}

int netlink_route_delete(int fd, uint32_t destination, uint8_t prefix_size)
{
    struct request request;
    begin_route(&request, RTM_DELROUTE, 0, prefix_size);
    put_u32(&request, RTA_DST, htonl(destination));
    return transact(fd, &request, NULL, 0);
}

int netlink_fdb_append(int fd, uint32_t index, uint32_t node_address)
{
    struct request request;
    struct ndmsg info = {
        .ndm_family = AF_BRIDGE,
        .ndm_ifindex = (int)index,
        .ndm_state = NUD_NOARP | NUD_PERMANENT,
        .ndm_flags = NTF_SELF,
    };
    static const uint8_t everybody[6] = {0};
    begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, &info, sizeof(info));
    put(&request, NDA_LLADDR, everybody, sizeof(everybody));
    put_u32(&request, NDA_DST, htonl(node_address));
    return transact(fd, &request, NULL, 0);
}

bool netlink_has_nft_table(const char *name)
{
    CLEANUP(close_fd) int fd = open_socket(NETLINK_NETFILTER);
    if (fd < 0) {
        return false;
    }
    struct request request;
    struct nfgenmsg info = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};
    begin(&request, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, 0, &info, sizeof(info));
    put_text(&request, NFTA_TABLE_NAME, name);
    return transact(fd, &request, NULL, 0) == 0;
}
