#!/bin/sh
# Makes the etcd roles of a cluster: who may read, attach workloads, write policy, and do everything.
# Users are yours to add: etcdctl user add NAME, etcdctl user grant-role NAME ROLE, and at last etcdctl auth enable.
# Run it with etcdctl's own settings in the environment (ETCDCTL_ENDPOINTS, ETCDCTL_USER, ...). It may be run again.
# Each argument is a namespace that gets a role of its own, tortie-policy-NAMESPACE.
set -eu
ETCDCTL_API=3
export ETCDCTL_API
resources=/calico/resources/v3/projectcalico.org

role() { etcdctl role get "$1" >/dev/null 2>&1 || etcdctl role add "$1" >/dev/null; }
may() { etcdctl role grant-permission "$1" "$2" "$3" --prefix >/dev/null; }

# Sees everything: people who look, and monitoring.
role tortie-reader
may tortie-reader read /calico/
may tortie-reader read /tortie/

# An agent: sees everything, writes endpoints, addresses and its status. No policy, tier, label of a namespace, or node.
role tortie-agent
may tortie-agent read /calico/
may tortie-agent read /tortie/
may tortie-agent readwrite "$resources/workloadendpoints/"
may tortie-agent readwrite "$resources/caliconodestatuses/"
may tortie-agent readwrite /calico/ipam/v2/
may tortie-agent readwrite /calico/felix/
may tortie-agent readwrite /tortie/testimony/
may tortie-agent readwrite /tortie/heard/v1/

# Writes policy of every kind and scope, and the sets that policy speaks of, with the record of who changed what.
role tortie-policy
may tortie-policy readwrite /tortie/history/v1/
may tortie-policy readwrite /tortie/pending/v1/
may tortie-policy read /calico/
may tortie-policy read /tortie/
for kind in tiers globalnetworkpolicies networkpolicies globalnetworksets networksets profiles hostendpoints \
    stagedglobalnetworkpolicies stagednetworkpolicies stagedkubernetesnetworkpolicies; do
    may tortie-policy readwrite "$resources/$kind/"
done

# Writes policy and network sets of one namespace.
for namespace in "$@"; do
    role "tortie-policy-$namespace"
    may "tortie-policy-$namespace" read /calico/
    may "tortie-policy-$namespace" read /tortie/
    may "tortie-policy-$namespace" readwrite /tortie/history/v1/
    for kind in networkpolicies networksets stagednetworkpolicies stagedkubernetesnetworkpolicies; do
        may "tortie-policy-$namespace" readwrite "$resources/$kind/$namespace/"
    done
done

# Everything, for pools, nodes, BGP, moving the datastore, and backups.
role tortie-admin
may tortie-admin readwrite /calico/
may tortie-admin readwrite /tortie/
