import * as echarts from 'echarts';
import type { Result, Series } from './result.js';

const WIDTH = 800;
const HEIGHT = 400;
/** Stands for the colour of text, which is light on dark pages and dark on light ones. */
const INK = '#010203';
const FAINT = '#808080';
/** Told apart by those who see colours otherwise (Okabe and Ito), on white and on black. */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#999999'];

type Options = echarts.EChartsOption;

/** The pictures of a measure, as SVG by file name; none where a table says it better. */
export function picturesOf(result: Result): Record<string, string> {
  const draw = PICTURES[result.measure];
  return draw ? { [`${result.measure}.svg`]: drawn(draw(result)) } : {};
}

const PICTURES: Record<string, (result: Result) => Options> = {
  drain: ({ lines }) => {
    const ratios = lines.filter(({ measure }) => measure.includes('Lapse / '));
    const backlogs = [...new Set(ratios.map(({ measure }) => measure.split(': ')[0] ?? ''))];
    const others = [...new Set(ratios.map(({ measure }) => measure.split('Lapse / ')[1] ?? ''))];
    return {
      title: title('How many times as many executions a second Lapse times out as…'),
      legend: legend(),
      grid: { left: 250, right: 70, top: 80, bottom: 30 },
      xAxis: { type: 'log', min: 0.25, ...axis('{value} ×') },
      yAxis: { type: 'category', data: others, inverse: true, ...axis('{value}') },
      series: backlogs.map((backlog) => ({
        name: backlog,
        type: 'bar',
        data: others.map(
          (other) => ratios.find(({ measure }) => measure === `${backlog}: Lapse / ${other}`)?.median ?? Number.NaN,
        ),
        label: {
          show: true,
          position: 'right',
          color: INK,
          fontSize: 10,
          formatter: ({ value }) => String(Number(Number(value).toPrecision(2))),
        },
      })),
    };
  },
  growth: ({ series }) => {
    const axes = [...new Set(series.map(({ name }) => name.split(': ')[0] ?? ''))];
    const left = (panel: number) => 50 + (panel * (WIDTH - 50)) / axes.length;
    return {
      title: title('Time against size, each in multiples of its smallest'),
      legend: legend(),
      grid: axes.map((_, panel) => ({ left: left(panel), width: 190, top: 70, bottom: 50 })),
      xAxis: axes.map((name, gridIndex) => ({
        gridIndex,
        type: 'log',
        name,
        nameLocation: 'middle',
        nameGap: 28,
        nameTextStyle: { color: INK },
        ...axis('{value} ×'),
      })),
      yAxis: axes.map((_, gridIndex) => ({
        gridIndex,
        type: 'value',
        min: 0,
        max: ({ max }: { max: number }) => Math.max(2, Math.ceil(max)),
        ...axis('{value} ×'),
      })),
      series: series.map(({ name, points }) => {
        const [axis = '', what = ''] = name.split(': ');
        const panel = axes.indexOf(axis);
        return { ...lines(what, fromSmallest(points)), xAxisIndex: panel, yAxisIndex: panel };
      }),
    };
  },
  neighbours: ({ series }) => {
    const [alone] = series;
    return {
      title: title("Latency of a host's updates, in multiples of that with nobody beside it"),
      legend: legend(),
      grid: { left: 70, right: 30, top: 80, bottom: 50 },
      xAxis: {
        type: 'category',
        data: alone?.points.map(([share]) => `p${Number((share * 100).toPrecision(4))}`) ?? [],
        ...axis('{value}'),
      },
      yAxis: { type: 'log', min: 0.5, ...axis('{value} ×') },
      series: series.map(({ name, points }) =>
        lines(
          name,
          points.map(([, latency], at) => latency / (alone?.points[at]?.[1] ?? Number.NaN)),
        ),
      ),
    };
  },
  timeliness: ({ series }) => ({
    title: title('Executions timed out within so many seconds after their deadline, the schedule ticking every second'),
    grid: { left: 60, right: 30, top: 60, bottom: 50 },
    xAxis: { type: 'value', min: 0, ...axis('{value} s') },
    yAxis: { type: 'value', min: 0, max: 100, ...axis('{value} %') },
    series: series.map(({ name, points }) => ({ ...lines(name, points), showSymbol: false })),
  }),
};

function fromSmallest(points: Series['points']): Series['points'] {
  const smallest = points[0]?.[0] ?? Number.NaN;
  return points.map(([size, time]) => [size / smallest, time]);
}

function lines(name: string, data: echarts.LineSeriesOption['data']): echarts.LineSeriesOption {
  return { name, type: 'line', data: data ?? [], symbol: 'circle', symbolSize: 7, lineStyle: { width: 2 } };
}

function title(text: string): echarts.TitleComponentOption {
  return { text, left: 'center', top: 0, textStyle: { color: INK, fontSize: 15, fontWeight: 'normal' } };
}

function legend(): echarts.LegendComponentOption {
  return { top: 34, textStyle: { color: INK } };
}

function axis(formatter: string) {
  const faint = { lineStyle: { color: FAINT } };
  return {
    axisLabel: { color: INK, formatter, hideOverlap: true },
    axisLine: faint,
    axisTick: faint,
    splitLine: { lineStyle: { color: FAINT, opacity: 0.35 } },
  };
}

function drawn(options: Options): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption({ animation: false, color: COLOURS, backgroundColor: 'transparent', ...options });
    return readableOnAnyPage(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** A picture on a page knows by itself whether its reader wants dark pages; it can't ask the page. */
function readableOnAnyPage(svg: string): string {
  const style = '<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>';
  return `${svg

    .replaceAll(new RegExp(`${INK}|rgb\\(1,2,3\\)`, 'g'), 'currentColor')
    .replace(/(?<=<svg[^>]*>)/, style)}\n`;
}
