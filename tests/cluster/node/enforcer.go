package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

// runEnforcer drops the connections that NetworkPolicies forbid. The upstream command is the same
// controller, but runs in a pod only.
func runEnforcer() int {
	flags := flag.NewFlagSet("kube-network-policies", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	node := flags.String("node", "", "name of this node")
	address := flags.String("health-address", "127.0.0.1:9080", "answers once policies are known")
	_ = flags.Parse(os.Args[1:])

	if err := enforce(*kubeconfig, *node, *address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func enforce(kubeconfig, node, address string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}

	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(
		client,
		factory.Networking().V1().NetworkPolicies(),
		factory.Core().V1().Namespaces(),
		factory.Core().V1().Pods(),
		nil, nil, nil, nil,
		networkpolicy.Config{NodeName: node},
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	factory.Start(ctx.Done())

	// The controller tells nobody when it is ready: the sockets that it waits with do.
	factory.WaitForCacheSync(ctx.Done())
	ended := make(chan error, 2)
	go func() { ended <- controller.Run(ctx) }()
	go func() { ended <- http.ListenAndServe(address, http.HandlerFunc(answer)) }()
	return errors.Join(errors.New("the enforcer ended"), <-ended)
}

// answer says that policies are known: the queue of the packets is open a moment later.
func answer(http.ResponseWriter, *http.Request) {}
