package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// cluster is one of our own making: two nodes below one data folder, taken away at the end.
type cluster struct {
	coracle string
	dataDir string
	keep    bool
}

// kubeconfig lies beside the data folder, which has to be empty before the cluster is up.
func (c *cluster) kubeconfig() string { return c.dataDir + ".kubeconfig" }

// up starts from nothing, so that a run never sees what an earlier one left.
func (c *cluster) up(ctx context.Context, images string) error {
	if err := c.purge(ctx); err != nil {
		return err
	}
	if err := c.do(ctx, "up", "--nodes", "2", "--data-dir", c.dataDir, "--kubeconfig", c.kubeconfig()); err != nil {
		return err
	}
	return c.do(ctx, "image", "load", "--data-dir", c.dataDir, images)
}

// down leaves the machine as it was, also when the run was interrupted.
func (c *cluster) down() error {
	if c.keep {
		fmt.Printf("the cluster stays: KUBECONFIG=%s\n", c.kubeconfig())
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.purge(ctx)
}

func (c *cluster) purge(ctx context.Context) error {
	if _, err := os.Stat(c.dataDir); os.IsNotExist(err) {
		return nil
	}
	return c.do(ctx, "down", "--purge", "--data-dir", c.dataDir)
}

func (c *cluster) do(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, c.coracle, arguments...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("coracle %v: %w", arguments, err)
	}
	return nil
}
