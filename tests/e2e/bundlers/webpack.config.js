import path from "node:path";
import MiniCssExtractPlugin from "mini-css-extract-plugin";
import BundleTracker from "webpack-bundle-tracker";

const directory = import.meta.dirname;

export default {
  mode: "production",
  entry: { main: "./src/main.js" },
  output: {
    path: path.join(directory, "webpack"),
    publicPath: "auto",
    filename: "[name].[contenthash].js",
    chunkFilename: "[name].[contenthash].js",
    assetModuleFilename: "[name].[contenthash][ext]",
  },
  module: {
    rules: [
      { test: /\.css$/, use: [MiniCssExtractPlugin.loader, "css-loader"] },
      { test: /\.svg$/, type: "asset/resource" },
    ],
  },
  plugins: [
    new MiniCssExtractPlugin({ filename: "[name].[contenthash].css" }),
    new BundleTracker({ path: directory, filename: "webpack-stats.json" }),
  ],
};
